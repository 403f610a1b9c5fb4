ln -s "$cases/../../golden" golden
cornu convert golden/keras1-theano/03_seedmini.json new.keras
