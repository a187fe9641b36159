"""The earlier name of :mod:`flowxfer.directions`."""

from flowxfer.directions import ATTRIBUTES, Attributes, Labels, learn, read_labels

__all__ = ["ATTRIBUTES", "Attributes", "Labels", "learn", "read_labels"]
