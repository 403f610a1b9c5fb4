ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu maps golden/keras3/d_unet.keras pictures/* --top 2 --columns 1 -o out.png --npy out.npy && ls
