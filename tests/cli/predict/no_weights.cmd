ln -s "$cases/../../golden" golden
cornu shapes --count 1 --seed 1 --size 32 -o pictures >made
cornu predict golden/keras1-theano/03_seedmini.json pictures/*.png --top 1 >out
