cornu info --help
