cornu explain conv2d_transpose -i 5 -k 3 -s 2 -p same_theano -d 2
