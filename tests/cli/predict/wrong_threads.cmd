cornu predict model.h5 cat.png --threads -1
