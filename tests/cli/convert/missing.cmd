cornu convert a.keras
