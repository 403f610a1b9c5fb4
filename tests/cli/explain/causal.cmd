cornu explain conv1d -i 10 -k 3 -d 2 -p causal
