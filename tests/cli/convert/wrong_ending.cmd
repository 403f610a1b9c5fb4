cornu convert a.keras b.onnx
