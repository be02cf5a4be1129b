"""Export: networks as ONNX graphs, fused, quantized, and compared with the network."""
