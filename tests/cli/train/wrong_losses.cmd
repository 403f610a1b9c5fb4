cornu train autoencoder --data shapes:4 --loss mse,mae -o a.keras
