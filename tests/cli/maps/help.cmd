cornu maps --help
