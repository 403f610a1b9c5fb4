CORNU_NUM_THREADS=abc cornu info
