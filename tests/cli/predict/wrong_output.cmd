cornu predict model.h5 cat.png -o out.txt
