ln -s "$cases/../../golden" golden
cornu shapes --count 1 --seed 1 -o pictures >made
cornu deconv golden/keras3/a_cifar_cnn.keras pictures/* --scale nan
