"""Directions in latent space, such as from a face to the same face smiling: named, or read off a performer.

Glow's paper (https://arxiv.org/abs/1807.03039, section 6) moves a face along the difference between the mean latents
of faces with an attribute and without it. ``attributes`` holds such vectors by their names, ``labels`` reads which
picture has which attributes, ``learning`` makes the one of the other. ``reader`` tells a performer's expression from
the light, hair and pose in which two pictures of theirs differ too.
"""

from flowxfer.directions.attributes import ATTRIBUTES, Attributes
from flowxfer.directions.labels import Labels, read_labels
from flowxfer.directions.learning import learn
from flowxfer.directions.reader import READER, ExpressionReader
from flowxfer.directions.reading import learn_reader

__all__ = ["ATTRIBUTES", "READER", "Attributes", "ExpressionReader", "Labels", "learn", "learn_reader", "read_labels"]
