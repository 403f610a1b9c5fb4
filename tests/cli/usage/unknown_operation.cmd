cornu explain conv2d_transpos -i 3 -k 3
