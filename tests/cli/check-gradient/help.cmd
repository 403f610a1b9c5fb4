cornu check-gradient --help
