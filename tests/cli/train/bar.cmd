cornu train autoencoder --input 8x8x1 --data shapes:32 --batch-size 8 --progress bar -o a.keras 2>&1 >made |
    tr '\r' '\n' | sed 's/ [0-9]*s [0-9]*[mu]*s/ 0s 0ms/; s/\(\.[0-9]\{2\}\)[0-9]*/\1/g; s/ *$//' |
    sed -n '2p;$p'
