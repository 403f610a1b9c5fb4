cornu explain conv2d -i 8 -k 3 -p -1
cornu explain conv2d -i 4000000000 -k 3 -p 1
