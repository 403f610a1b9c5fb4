ln -s "$cases/../../golden" golden
cornu summary --json golden/keras3/b_autoencoder.h5
