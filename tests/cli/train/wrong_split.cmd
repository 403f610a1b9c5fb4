cornu train autoencoder --data shapes:1 --validation-split 0.5 -o a.keras
