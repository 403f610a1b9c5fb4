cornu explain conv2d -i 8 -k 3 -s 0
