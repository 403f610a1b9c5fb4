cornu shapes --count 5 --size 8 --npz shapes.npz && ls
