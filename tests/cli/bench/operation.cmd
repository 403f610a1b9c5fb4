convolution="--input 8x8x6 --kernel 5 --stride 2 --padding same --filters 4 --batch 2"
for pass in forward input_gradient kernel_gradient; do
    cornu bench conv2d_transpose $convolution --pass $pass --seconds 0.01 --threads 2 |
        sed '1s/, [a-z0-9]*, 2/, ISA, 2/; 2,3s/[0-9.]\{1,\}/N/g; s/chosen .*B, scratch .*B$/chosen/; s/weighed .*/weighed/'
done
cornu bench Convolution1D -i 8x6 -k 3 --explain | sed 1q
