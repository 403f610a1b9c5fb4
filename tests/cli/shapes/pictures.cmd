cornu shapes --count 3 --size 16 --seed 4 -o pictures && ls pictures
