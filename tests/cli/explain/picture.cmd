cornu explain conv2d_transpose -i 4 -k 3 -s 2 -p same --json -o map.png >map.json && ls
