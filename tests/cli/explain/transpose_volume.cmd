cornu explain conv3d_transpose --input=4x4x4x2 --kernel=2 --stride=3 --padding=same --filters=2
