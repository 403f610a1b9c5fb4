cornu evaluate --help
