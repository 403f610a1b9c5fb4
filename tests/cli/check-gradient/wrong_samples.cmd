cornu check-gradient fsrcnn --samples 0
