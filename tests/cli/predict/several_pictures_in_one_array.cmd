ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras3/b_autoencoder.keras pictures/* -o out.npy --threads 2
