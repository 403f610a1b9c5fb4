# The first prediction, which is not timed, is told; the others are measured undisturbed.
CORNU_VERBOSE=1 cornu bench question --seconds 0.01 --threads 1 2>told >all
grep -c ' ms ' told
