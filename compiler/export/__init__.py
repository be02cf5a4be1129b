"""Export: networks as ONNX graphs, fused and quantised, and held against the network that they were made of."""
