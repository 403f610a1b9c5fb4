ln -s "$cases/../../golden" golden
cornu deconv golden/keras3/g_nested_shared.keras golden/keras3/g_nested_shared.npz --input 1 -o out.png --layer NONE
