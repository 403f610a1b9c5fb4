cornu train question -o f.keras
