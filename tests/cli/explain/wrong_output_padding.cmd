cornu explain conv2d_transpose -i 32 -k 3 -s 2 -p same --output-padding 2
