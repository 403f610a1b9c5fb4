cornu train fsrcnn --input 4x4x1 --data shapes:4 -o f.keras --resume --progress none | sed 's/,.*//'
