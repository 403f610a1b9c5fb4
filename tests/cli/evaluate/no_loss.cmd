ln -s "$cases/../../golden" golden
cornu evaluate golden/keras3/b_autoencoder.keras --data shapes:4
