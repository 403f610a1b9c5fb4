cornu evaluate model.keras
