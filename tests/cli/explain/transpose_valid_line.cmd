cornu explain conv1d_transpose -i 10x4 -k 3 -s 2
