ln -s "$cases/../../golden" golden
cornu train golden/keras3/a_cifar_cnn.keras --data shapes:4 -o a.keras --loss categorical_crossentropy
ls
