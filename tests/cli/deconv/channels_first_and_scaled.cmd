ln -s "$cases/../../golden" golden
cornu shapes --count 1 --size 50 -o pictures >made
cornu deconv golden/keras1-theano/03_seedmini_model.h5 pictures/* --layer convolution2d_2 --top 4
