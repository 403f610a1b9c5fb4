# No number of these is the same twice: the rows and their names are.
cornu bench question --seconds 0.01 --threads 1 >all
sed -n '1s/, [a-z][a-z0-9]*, 1 thread/, ISA, 1 thread/p; 2,3s/[0-9.]\{1,\}/N/gp; 4p' all
sed '1,4d' all | awk '{ print $1, $2 }'
sed '1,5d' all | grep -c '%'
