"""TensorFlow's own words for types, shapes and constants, as its files have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowxfer.bundle.protobuf import Message

__all__ = ["DTYPES", "FLOATS", "constant", "shape"]

# DataType in tensorflow/core/framework/types.proto, of those that NumPy has.
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
# TensorProto's field of plain values for each type that can hold weights; bfloat16 (14) has none in NumPy.
FLOATS = {1: 5, 2: 6, 19: None, 14: None}


def shape(message: Message) -> tuple[int, ...]:
    """The shape in a TensorShapeProto; an unknown dimension is -1.

    Raises:
        ValueError: the rank is unknown.
    """
    if message.integer(3):
        raise ValueError("a shape has no known rank")
    return tuple(dimension.integer(1) for dimension in message.messages(2))


def constant(tensor: Message, limit: int) -> NDArray[Any]:
    """The array in a TensorProto of floating point numbers, read-only.

    Args:
        tensor: the message.
        limit: the most bytes that the array may have. One value may stand for any number of equal ones, so without a
            limit a few bytes could ask for all memory.

    Raises:
        ValueError: the type is not float32, float64 or float16, or the values do not fill the shape.
    """
    kind, dimensions = tensor.integer(1), shape(tensor.message(2))
    if kind not in FLOATS or kind not in DTYPES:
        raise ValueError(f"expected float32, float64 or float16, got TensorFlow's type {kind}")
    dtype, count = np.dtype(DTYPES[kind]), math.prod(dimensions)
    if min(dimensions, default=0) < 0 or count * dtype.itemsize > limit:
        raise ValueError(f"the shape {dimensions} does not fit into the file")
    field = FLOATS[kind]
    content = bytes(tensor.view(4)) or (b"".join(tensor.fixed(field)) if field else b"")
    if len(content) % dtype.itemsize:
        raise ValueError(f"{len(content)} bytes are no whole number of values")
    values = np.frombuffer(content, dtype)
    if not (len(values) == count or 0 < len(values) < count):
        raise ValueError(f"{len(values)} values do not fill the shape {dimensions}")
    # TensorFlow leaves out the end of a constant where it repeats the last value.
    if len(values) < count:
        values = np.concatenate([values, np.full(count - len(values), values[-1], dtype)])
    return values.reshape(dimensions)
