cornu summary --width 5000 model.h5
