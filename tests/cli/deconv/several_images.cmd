ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu deconv golden/keras3/a_cifar_cnn.keras pictures/* --layer conv2d_1 --top 3 -o out.png --npy out.npy && ls
