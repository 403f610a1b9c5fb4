cornu summary nothing.h5
