cornu explain conv2d -i 4 -k 5
