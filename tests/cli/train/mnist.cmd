mkdir mnist
{
    printf '\000\000\010\003\000\000\000\005\000\000\000\034\000\000\000\034'
    head -c 3920 /dev/zero
} >mnist/train-images-idx3-ubyte
printf '\000\000\010\001\000\000\000\005\001\002\003\004\005' >mnist/train-labels-idx1-ubyte
cornu train question --input 10x10x1 --data mnist:mnist -o q.keras --progress none | sed 's/,.*//'
cornu evaluate q.keras --data mnist:mnist --json | grep samples
cornu evaluate q.keras --data mnist:nowhere
