# Keras 3 got 1.300225, 1.295816 and 0.691288.
ln -s "$cases/../../golden" golden
for model in adam sgd_momentum; do
    cornu evaluate golden/keras3/train/$model.keras --data golden/keras3/train/train_data.npz
done
cornu evaluate golden/keras3/train/ae_adam_bce.keras --data golden/keras3/train/ae_data.npz
