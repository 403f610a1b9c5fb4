cornu shapes --count 3 --size 16 -o one >made
cornu shapes --count 2 --size 16 -o two >made
cmp one/00001-*.png two/00001-*.png
