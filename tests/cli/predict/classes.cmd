ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
printf 'a\nb\r\nc\nd\ne\n' >names
cornu predict golden/keras3/a_cifar_cnn.keras pictures/* --classes names --top 3
