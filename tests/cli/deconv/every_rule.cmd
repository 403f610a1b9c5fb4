ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
for rule in deconvnet gradient guided; do
    cornu deconv golden/keras3/a_cifar_cnn.keras pictures/00001* --layer max_pooling2d_1 --rule $rule \
        --npy $rule.npy -o $rule.png
done
ls
cmp deconvnet.npy gradient.npy >compared && echo "the rules do not count"
cmp guided.npy gradient.npy >compared && echo "the rules do not count"
true
