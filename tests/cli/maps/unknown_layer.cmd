ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu maps golden/keras3/b_autoencoder.keras pictures/00001* --layer conv
