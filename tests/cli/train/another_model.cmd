cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
cornu train unet --resume -o f.keras
