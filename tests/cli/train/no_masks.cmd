cornu train unet --input 16x16x3 --data shapes:4 -o u.keras
