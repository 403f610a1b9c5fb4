cornu train autoencoder --data shapes:4 -o a.weights.h5
