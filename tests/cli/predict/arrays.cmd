ln -s "$cases/../../golden" golden
cornu predict golden/keras3/g_nested_shared.keras golden/keras3/g_nested_shared.npz
