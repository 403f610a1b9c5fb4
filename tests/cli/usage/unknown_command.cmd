cornu explian
