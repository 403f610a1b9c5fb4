# Keras 3 went on with these files for 3 batches, whose losses have the means 1.122954 and 1.164010.
ln -s "$cases/../../golden" golden
for optimizer in adam sgd_momentum; do
    cornu train golden/keras3/train/$optimizer.keras --data golden/keras3/train/train_data.npz \
        --batch-size 8 --no-shuffle -o $optimizer.keras --progress json 2>&1 >made |
        grep -o '"loss": [0-9.]*' | awk '{ printf "%s %.5f\n", $1, $2 }'
    cat made
done
