ln -s "$cases/../../golden" golden
cornu summary golden/keras3/a_cifar_cnn.keras
