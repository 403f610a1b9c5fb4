# Without what is remembered.
cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
rm f.keras.train
cornu train --data shapes:2 -o f.keras --resume --epochs 2 --progress none | sed 's/,.*//'
cat f.keras.train
