ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras3/a_cifar_cnn.keras pictures/00001* --scale 2/255 --offset -1 --top 1
cornu predict golden/keras3/a_cifar_cnn.keras pictures/00001* --scale 0 --top 1
