cornu explain Conv2DTranspose -i 16x8x64 -k 4 -s 2 -p same -f 32 --output-padding 1
