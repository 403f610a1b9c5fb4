cornu explain -i 3 -k 3
