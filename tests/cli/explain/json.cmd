cornu explain conv2d_transpose -i 4x6 -k 4x3 -s 2x3 --json
