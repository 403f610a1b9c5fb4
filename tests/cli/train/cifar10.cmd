head -c 12292 /dev/zero >batch.bin
cornu train question --input 10x10x3 --data cifar10:batch.bin,batch.bin -o q.keras --progress none | sed 's/,.*//'
cornu evaluate q.keras --data cifar10:batch.bin --json | grep samples
cornu evaluate q.keras --data cifar10:other.bin
