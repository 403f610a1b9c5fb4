cornu shapes --size 4 -o pictures
