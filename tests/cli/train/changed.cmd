cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
cornu train -o f.keras --resume --seed 5
