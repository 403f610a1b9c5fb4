cornu explain conv2d_transpose -i 4 -k 3 -o missing/map.png
