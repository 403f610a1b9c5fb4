cornu shapes --count 12 --size 16 -o pictures >made
for picture in pictures/*.png; do
    class=$(basename $picture .png | cut -c 7-)
    mkdir -p classes/$class
    mv $picture classes/$class
done
cornu train question --input 10x10x3 --data classes --augment flip,shift=0.1,rotate=10,zoom=0.1,brightness=0.1 \
    --validation-split 0.25 -o q.keras --progress none | sed 's/,.*//'
