cornu predict model.h5 a/cat.png b/cat.jpg
