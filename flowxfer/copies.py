"""The earlier name of :mod:`flowxfer.directions.copies`."""

from flowxfer.directions.copies import mirrored, nudge, nudged

__all__ = ["mirrored", "nudge", "nudged"]
