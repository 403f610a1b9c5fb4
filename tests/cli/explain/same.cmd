cornu explain conv2d -i 28x28x1 -k3 -s2 -psame -f8
