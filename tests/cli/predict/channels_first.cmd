ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras1-theano/03_seedmini_model.h5 pictures/* --top 2
