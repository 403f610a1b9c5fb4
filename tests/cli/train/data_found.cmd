# Of MNIST only the files to test with.
mkdir mnist
{
    printf '\000\000\010\003\000\000\000\005\000\000\000\034\000\000\000\034'
    head -c 3920 /dev/zero
} >mnist/t10k-images-idx3-ubyte
printf '\000\000\010\001\000\000\000\005\001\002\003\004\005' >mnist/t10k-labels-idx1-ubyte
cornu shapes --count 4 --seed 1 --size 16 -o pictures >made
mkdir classes classes/a classes/b
mv pictures/0000[01]* classes/a
mv pictures/0000[23]* classes/b
head -c 6146 /dev/zero >batch.bin
cornu train question --input 10x10x1 --data mnist:mnist --validation-data classes -o q.keras 2>&1 >made | grep data
cornu evaluate q.keras --data mnist:mnist 2>&1 >made | grep data
cornu evaluate q.keras --data cifar10:batch.bin 2>&1 >made | grep data
cornu evaluate q.keras --data mnist:mnist --json 2>&1 >made | grep data
