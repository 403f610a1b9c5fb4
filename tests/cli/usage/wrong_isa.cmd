CORNU_ISA=bogus cornu info 2>&1 | sed 's/here: .*/here: .../'
CORNU_ISA=bogus cornu info >out 2>&1
