cornu explain conv2d -i 3
