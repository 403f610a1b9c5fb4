CORNU_NUM_THREADS=3 cornu info | grep threads
CORNU_NUM_THREADS=3 cornu info --json | grep threads
cornu info extra
