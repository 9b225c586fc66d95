"""Backends that run a network: one protocol, PyTorch, ONNX Runtime, OpenVINO, TensorRT."""
