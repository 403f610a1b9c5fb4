ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
mkdir out.d
cornu deconv golden/keras3/a_cifar_cnn.keras pictures/* --top 2 --tile 9 -o out.d/p.png --npy out.d/p && ls out.d
