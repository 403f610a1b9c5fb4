cornu --help | sed -n '/^exit codes/,$p'
