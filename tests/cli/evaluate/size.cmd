cornu evaluate autoencoder --data shapes:4 --size 64x64
