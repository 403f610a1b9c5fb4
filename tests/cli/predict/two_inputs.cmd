ln -s "$cases/../../golden" golden
cornu shapes --count 2 --seed 1 -o pictures >made
cornu predict golden/keras3/g_nested_shared.keras pictures/00000*
