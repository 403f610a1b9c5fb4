cornu explain conv2d -i 9x9x4 -k 3 -s 2 -f 8 --groups 2
