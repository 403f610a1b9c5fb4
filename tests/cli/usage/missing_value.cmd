cornu explain conv2d --input
