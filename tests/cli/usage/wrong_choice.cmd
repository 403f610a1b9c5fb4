cornu explain conv2d -i 8 -k 3 -p sam
