cornu explain conv2d -z
