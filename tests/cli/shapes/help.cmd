cornu shapes --help
