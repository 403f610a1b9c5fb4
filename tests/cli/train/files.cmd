cornu train autoencoder --input 8x8x1 --data shapes:16 --validation-data shapes:8 -o a.h5 --progress none \
    --csv log.csv --tensorboard board --curve curve.png --early-stopping 2 >made
ls board
sed 's/\(\.[0-9]\{2\}\)[0-9]*/\1/g' log.csv
cornu summary a.h5 --json | grep '"parameters"' | head -n 1
ls
