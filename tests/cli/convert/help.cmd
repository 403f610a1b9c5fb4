cornu convert --help
