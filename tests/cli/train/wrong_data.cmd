cornu train autoencoder --data nowhere -o a.keras
cornu train autoencoder --data shapes:0 -o a.keras
