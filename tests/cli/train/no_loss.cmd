ln -s "$cases/../../golden" golden
cornu train golden/keras3/b_autoencoder.keras --data shapes:4 -o a.keras
