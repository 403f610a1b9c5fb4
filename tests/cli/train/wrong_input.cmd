cornu train autoencoder --input 30x30x3 --data shapes:4 -o a.keras
