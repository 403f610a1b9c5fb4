ln -s "$cases/../../golden" golden
cornu evaluate golden/keras3/train/adam.keras --data golden/keras3/train/train_data.npz --json \
    --metrics accuracy --batch-size 5 | sed 's/\(\.[0-9]\{5\}\)[0-9]*/\1/'
