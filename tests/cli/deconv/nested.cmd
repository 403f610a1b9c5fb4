ln -s "$cases/../../golden" golden
cornu summary --json golden/keras3/g_nested_functional.keras | grep '"name"'
cornu deconv golden/keras3/g_nested_functional.keras golden/keras3/g_nested_functional.npz --layer inner_fn/dense_8 -o out.png
