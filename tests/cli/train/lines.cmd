cornu train question --input 10x10x3 --data shapes:16 --validation-split 0.25 --epochs 2 -o q.keras 2>&1 |
    sed 's/  [0-9.]*s / /; s/\(\.[0-9]\{2\}\)[0-9]*/\1/g'
ls
