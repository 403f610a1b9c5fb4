ln -s "$cases/../../golden" golden
cornu predict golden/keras1-theano/03_seedmini.json x.png --weights none.h5
