cornu explain conv2d_transpose --input 32x32x3 --kernel 3 --stride 2 --padding same --filters 16
