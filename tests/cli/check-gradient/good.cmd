ln -s "$cases/../../golden" golden
for model in golden/keras3/b_autoencoder.keras golden/keras3/train/adam.keras; do
    cornu check-gradient $model | sed 's/[0-9.e-]*, at [^,]*, of [0-9]*/N, at WEIGHT, of N/'
done
cornu check-gradient fsrcnn --input 4x4x1 --data shapes:2 | tail -n 1
cornu check-gradient question --input 10x10x3 --json | grep -e bound -e good
