"""Many pictures and films, on one machine or on many: the same work, the same results.

Films are followed once, in order, because who is whom hangs on all that was seen before; what was seen then goes with
each segment to whatever worker is free. So a film's segments need no order, and the film is the one that
:func:`flowxfer.video.edit` writes.
"""

from flowxfer.cluster.batch import Summary, run
from flowxfer.cluster.executors import Engine, OnRay, here
from flowxfer.cluster.folder import Outcome, process_folder
from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Faces, FilmTask, Photo, in_groups

__all__ = [
    "Engine",
    "Faces",
    "FilmTask",
    "OnRay",
    "Outcome",
    "Photo",
    "Recipe",
    "Summary",
    "here",
    "in_groups",
    "process_folder",
    "run",
]
