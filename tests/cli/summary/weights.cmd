ln -s "$cases/../../golden" golden
cornu summary golden/keras1-theano/03_seedmini.json --weights golden/keras1-theano/03_seedmini_weights.h5 | tail -n 3
cornu summary golden/keras1-theano/03_seedmini.json --weights golden/keras1-theano/04_two_outputs_after8steps.h5
