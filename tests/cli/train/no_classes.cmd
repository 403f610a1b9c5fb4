cornu train autoencoder --classes 4 --data shapes:4 -o a.keras
