"""Attribute vectors: named directions in latent space, such as from a face to the same face smiling.

Glow's paper (https://arxiv.org/abs/1807.03039, section 6) moves a face along the difference between the mean latents
of faces with an attribute and without it. ``attributes`` holds such vectors by their names, ``labels`` reads which
picture has which attributes, ``learning`` makes the one of the other.
"""

from flowxfer.directions.attributes import ATTRIBUTES, Attributes
from flowxfer.directions.labels import Labels, read_labels
from flowxfer.directions.learning import learn

__all__ = ["ATTRIBUTES", "Attributes", "Labels", "learn", "read_labels"]
