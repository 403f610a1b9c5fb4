ln -s "$cases/../../golden" golden
cornu predict golden/keras1-theano/03_seedmini.json pictures/*.png \
    --weights golden/keras1-theano/04_two_outputs_after8steps.h5
