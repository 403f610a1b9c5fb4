cornu explain conv2d --kernal 3
