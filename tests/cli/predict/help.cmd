cornu predict --help
