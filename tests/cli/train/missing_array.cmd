ln -s "$cases/../../golden" golden
cornu shapes --count 2 --size 8 --npz shapes.npz >made
cornu train golden/keras3/g_nested_shared.keras --data shapes.npz -o a.keras --loss mse
