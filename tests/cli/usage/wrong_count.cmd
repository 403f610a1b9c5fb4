cornu explain conv2d -i 3x4 -k 3x3x3
