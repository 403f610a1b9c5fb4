ln -s "$cases/../../golden" golden
cornu summary --ascii --width 60 golden/keras1-theano/03_seedmini_model.h5
