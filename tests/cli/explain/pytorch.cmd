cornu explain ConvTranspose2d -i 16x16 -k 4 -s 2 -p 1
cornu explain Conv2d -i 9x8 -k 3 -s 2 -p 1x0 | head -n 9
cornu explain Deconvolution2D -i 4 -k 3 -s 2 -p 1 --output-padding 1 --json | grep -e '"output"' -e '"operation"'
