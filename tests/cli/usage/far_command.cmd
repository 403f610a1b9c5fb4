cornu xyzzy
