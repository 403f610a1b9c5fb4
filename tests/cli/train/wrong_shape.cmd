ln -s "$cases/../../golden" golden
cornu shapes --count 2 --size 8 --npz shapes.npz >made
cornu train unet --input 16x16x3 --data shapes.npz -o a.keras
cornu train fsrcnn --input 3x8x8 --data shapes.npz -o a.keras
cornu train dcgan-generator --data shapes.npz -o a.keras
