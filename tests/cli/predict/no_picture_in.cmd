ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras3/c_dcgan_generator.keras pictures/00000*
