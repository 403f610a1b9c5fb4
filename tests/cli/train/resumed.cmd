# Two epochs, and one with another after it, end with the same weights and optimizer.
training='question --input 10x10x3 --data shapes:16 --batch-size 8 --reduce-lr 1 --progress none'
cornu train $training --epochs 2 -o whole.keras >made
cornu train $training -o cut.keras >made
cornu train -o cut.keras --resume --epochs 2 >made
cat cut.keras.train
cornu convert whole.keras whole.h5 >made
cornu convert cut.keras cut.h5 >made
cmp whole.h5 cut.h5 && echo the same
