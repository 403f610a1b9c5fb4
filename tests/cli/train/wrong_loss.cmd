cornu train autoencoder --data shapes:4 --loss mean_squered_error -o a.keras
