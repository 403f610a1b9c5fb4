ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
for color in rgb bgr gray ycbcr; do
    cornu predict golden/keras3/a_cifar_cnn.keras pictures/00001* --color $color --top 1
done
