cornu predict model.keras
