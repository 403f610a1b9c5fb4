cornu explain conv2d -i 4 -k 3 -o map.png
cornu explain conv2d -i 4 -k 3 --output-size 8
