# A checkpoint as MODEL: the new training counts its own epochs.
cornu train fsrcnn --input 4x4x1 --data shapes:2 --epochs 3 -o f.keras --progress none >made
cornu train f.keras --data shapes:2:5 --epochs 2 -o g.keras --progress none | sed 's/,.*//'
cornu train -o g.keras --resume --epochs 3 --progress none | sed 's/,.*//'
cornu train f.keras --data shapes:2:5 --epochs 2 -o h.keras --resume --progress none | sed 's/,.*//'
