echo nothing >model.h5
cornu summary model.h5
