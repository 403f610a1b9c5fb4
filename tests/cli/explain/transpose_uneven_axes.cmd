cornu explain conv2d_transpose -i 5x6 -k 2x3 -s 3x2 -p same
