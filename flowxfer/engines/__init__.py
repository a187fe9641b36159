"""What runs a bundle: ONNX Runtime in ``ort``, PyTorch in ``torch``, and OpenVINO, behind one protocol.

``start`` chooses among them; ``round_trip`` tries what promises to be exact.
"""
