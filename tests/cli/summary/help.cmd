cornu summary --help
