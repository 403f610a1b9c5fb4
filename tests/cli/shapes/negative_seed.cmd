cornu shapes --seed -1 -o pictures
