ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu deconv golden/keras3/a_cifar_cnn.keras pictures/00001* -o nowhere/out.png
