cornu train fsrcnn --input 4x4x1 --data shapes:2 --epochs 2 -o f.keras --progress none >made
cornu train -o f.keras --resume
cornu train -o f.keras --resume --epochs 1
cornu train -o f.keras --resume --epochs 3 | sed 's/,.*//'
