cornu explain conv2d_transpose -i 16 -k 3 -s 2 -p same --output-size 31x32
