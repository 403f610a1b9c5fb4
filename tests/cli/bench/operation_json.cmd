for how in "--explain" "--seconds 0.01 --threads 1"; do
    cornu bench conv2d -i 8x9x6 -k 3 -f 4 --groups 2 --json $how |
        sed 's/"instruction_set": .*/"instruction_set": ISA,/; s/\("[a-z_]*\(_ms\|flops\|second\|share_of_peak\|runs\|bytes\)"\): [-+.e0-9]*/\1: N/; s/\("algorithm"\|"choice"\): "[^"]*"/\1: T/'
done
