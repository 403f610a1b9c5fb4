training='autoencoder --input 8x8x1 --data shapes:32 --validation-split 0.25 --optimizer SGD(learning_rate=3.0)'
cornu train $training --early-stopping 2 --epochs 30 -o e.keras --progress none | sed 's/, .*//'
cornu train -o e.keras --resume --progress none | sed 's/, .*//'
# The weights are those of the best epoch.
cornu train $training --epochs 2 -o best.keras --progress none >made
for name in e best; do
    cornu convert $name.keras $name.weights.h5 >made
done
cmp e.weights.h5 best.weights.h5 && echo the same
