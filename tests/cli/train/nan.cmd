# OUT is as it was before the loss became nan.
training='autoencoder --input 8x8x1 --data shapes:32 --loss mse --seed 1 --progress none'
cornu train $training --batch-size 8 --learning-rate 1e30 -o a.keras
echo $?
cornu train $training --optimizer 'SGD(learning_rate=1e20)' --epochs 3 -o b.keras
echo $?
cornu train $training --optimizer 'SGD(learning_rate=1e20)' -o c.keras >made
for name in b c; do
    cornu convert $name.keras $name.weights.h5 >made
done
cmp b.weights.h5 c.weights.h5 && echo the same
