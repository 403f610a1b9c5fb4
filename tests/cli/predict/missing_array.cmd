ln -s "$cases/../../golden" golden
cornu shapes --count 2 --npz shapes.npz >made
cornu predict golden/keras3/g_nested_shared.keras shapes.npz
