ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras3/a_cifar_cnn.keras pictures/00000* --json --top 2 | sed 's/\("score": [0-9.]\{6\}\)[0-9]*/\1/'
