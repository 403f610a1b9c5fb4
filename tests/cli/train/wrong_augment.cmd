cornu train autoencoder --data shapes:4 -o a.keras --augment flip,turn=3
