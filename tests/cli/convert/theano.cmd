ln -s "$cases/../../golden" golden
cornu shapes --count 1 --seed 1 --size 32 -o pictures >made
cornu convert golden/keras1-theano/03_seedmini_model.h5 new.keras
cornu predict golden/keras1-theano/03_seedmini_model.h5 pictures/*.png --top 2
cornu predict new.keras pictures/*.png --top 2
