ln -s "$cases/../../golden" golden
cornu predict golden/keras3/a_cifar_cnn.keras cat.png --size 64x64
