cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --force --progress none >made && echo again
cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none
