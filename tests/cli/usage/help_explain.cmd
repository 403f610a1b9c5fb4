cornu help explain
