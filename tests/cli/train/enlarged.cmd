cornu train fsrcnn --input 6x6x3 --scale 3 --data shapes:8 --augment flip -o f.keras --progress none | sed 's/,.*//'
cornu summary f.keras --ascii | grep conv2d_transpose
