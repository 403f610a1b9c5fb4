ln -s "$cases/../../golden" golden
cornu deconv golden/keras3/a_cifar_cnn.keras cat.png --size 1x2x3
