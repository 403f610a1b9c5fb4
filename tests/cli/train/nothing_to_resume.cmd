cornu train -o f.keras --resume
