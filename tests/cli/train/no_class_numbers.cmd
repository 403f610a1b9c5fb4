ln -s "$cases/../../golden" golden
cornu train golden/keras3/train/adam.keras --data golden/keras3/train/train_data.npz -o a.keras \
    --loss sparse_categorical_crossentropy
