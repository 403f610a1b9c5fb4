cornu shapes --count 5
