# What is read again computes the same.
ln -s "$cases/../../golden" golden
model=golden/keras3/h_multi_output.keras
cornu convert $model a.h5
cornu convert a.h5 b.keras
cornu convert b.keras c.weights.h5
cornu convert b.keras c.json
cornu convert c.json d.keras --weights c.weights.h5
cornu shapes --count 1 --size 8 -o pictures >made
for file in $model a.h5 b.keras d.keras; do
    cornu predict $file pictures/*.png -o $(basename $file).npz >made
done
for file in a.h5 b.keras d.keras; do
    cmp h_multi_output.keras.npz $file.npz && echo the same
done
