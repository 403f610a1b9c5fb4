cornu 2>&1 | head -n 1
cornu 2>/dev/null
