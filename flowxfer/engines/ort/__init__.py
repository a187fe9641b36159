"""A bundle in ONNX Runtime: sessions, and what the CPU, CUDA and TensorRT need."""
