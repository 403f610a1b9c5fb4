ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu maps golden/keras1-theano/03_seedmini_model.h5 pictures/00000* --layer flatten_1 -f 0-5 -o out.png
