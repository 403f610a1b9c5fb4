cornu bench
cornu bench conv2d
cornu bench conv2d --input 8x8
cornu bench conv2d --input 8x8 --kernel 9
cornu bench conv2d --input 8x8 --kernel 3 --size 8
cornu bench question --stride 2
cornu bench question --pass forward
cornu bench question --seconds 0
cornu bench question --threads -1
cornu bench question --batch 0
cornu bench question --size 64x64
cornu bench conv2d -i 8 -k 3 --pass backward
cornu bench nothing
