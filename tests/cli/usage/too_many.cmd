cornu explain conv2d conv3d -i 3 -k 3
