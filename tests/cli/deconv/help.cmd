cornu deconv --help
