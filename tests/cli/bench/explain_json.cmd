cornu bench autoencoder --explain --json --batch 3 |
    sed 's/"instruction_set": .*/"instruction_set": ISA,/; s/_bytes": [0-9]*/_bytes": N/; s/\("algorithm"\|"choice"\): "[^"]*"/\1: T/'
