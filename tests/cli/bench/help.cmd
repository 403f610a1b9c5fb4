cornu bench --help
