cornu explain conv2d_transpose -i 32 -k 3 --output-size 32
