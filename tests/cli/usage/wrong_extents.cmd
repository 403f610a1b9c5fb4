cornu explain conv2d -i 3xx4 -k 3
