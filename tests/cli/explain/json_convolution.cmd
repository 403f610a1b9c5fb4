cornu explain conv2d -i 8x8x3 -k 3 -s 2 -p same -f 4 --json
