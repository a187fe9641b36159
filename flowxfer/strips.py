"""The earlier name of :mod:`flowxfer.images.contact_sheets`."""

from flowxfer.images.contact_sheets import Pictures, gif, sheet, strip, table

__all__ = ["Pictures", "gif", "sheet", "strip", "table"]
