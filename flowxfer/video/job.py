"""What editing and driving share: a tracker, and the way from the first stage to the film."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from flowxfer.faces import Choice, Paste, Reference, Tracker, paste_blend
from flowxfer.images import load
from flowxfer.transferer import Transferer
from flowxfer.types import Alpha
from flowxfer.video.changes import Drive, Edit
from flowxfer.video.io.sink import check_free, open_sink
from flowxfer.video.io.source import Source
from flowxfer.video.options import Options, Report
from flowxfer.video.pipeline import Step, changed, pasted, run
from flowxfer.video.preview import Preview

__all__ = ["Job", "Steps", "named"]

Steps: TypeAlias = "Callable[[int, dict[str, Any]], Iterator[Step]]"
"""The first stage: begins with a frame's index, in the state after the one before."""


class Job(NamedTuple):
    """A model, a strength and options, and how films are made with them."""

    transferer: Transferer
    alpha: Alpha
    options: Options

    def tracker(self, face: Choice, state: dict[str, Any] | None = None) -> Tracker:
        """Make a tracker, one that goes on from a state where there is one."""
        options = self.options
        tracker = Tracker(self.transferer.size, face, detector=options.detector, every=options.detect_every)
        if state:
            tracker.restore(state)
        return tracker

    def write(self, film: Source, output: Path, steps: Steps, change: Drive | Edit, settings: dict[str, Any]) -> Report:
        """Run the stages and write what comes out of them."""
        options, batch_size = self.options, self.transferer.batch_size
        paste = options.paste or paste_blend
        preview = None if options.preview is None else Preview(options.preview)
        sheet = output.with_suffix(".preview.png")
        if preview:
            log = None if options.log is None else Path(options.log)
            check_free(sheet, [film.path, log, *options.keep], overwrite=options.overwrite)
        mark = options.mark and replace(options.mark, alphas=options.mark.alphas or (self._strength(),))
        sink = open_sink(
            output,
            film,
            codec=options.codec,
            quality=options.quality,
            resume=options.resume,
            overwrite=options.overwrite,
            settings=settings | self._settings(),
            log=options.log,
            mark=mark,
            keep=options.keep,
        )
        with sink:
            state = sink.state or {}
            change.smoothing.restore(state.get("smoothing"), self.transferer.manifest.latent_shapes)
            run(
                steps(sink.done, state),
                [
                    (lambda steps: changed(steps, change, batch_size), batch_size),
                    (lambda steps: pasted(steps, paste), 2),
                ],
                sink,
                record=self._record,
                total=film.count,
                progress=options.progress,
                show=None if preview is None else preview.show,
            )
            found = [record.get("found") is True for record in sink.records()]
        if preview:
            preview.save(sheet, mark)
        return Report(output, len(found), sum(found))

    def _settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "model": self.transferer.manifest.model_hash,
            "alpha": self._strength(),
            "face": named(options.face),
            "detector": type(options.detector).__name__,
            "detect_every": options.detect_every,
            "smooth": options.smooth,
            "paste": _paste_name(options.paste or paste_blend),
            **({"reads": True} if self.transferer.reads else {}),
        }

    def _record(self, step: Step) -> dict[str, Any]:
        face = step.target
        return {
            "frame": step.frame.index,
            "time": float(step.frame.time),
            "found": face is not None,
            "score": None if face is None else round(face.score, 4),
            "alpha": None if face is None else self._strength(),
            "box": step.box,
        }

    def _strength(self) -> float | list[float]:
        return float(self.alpha) if isinstance(self.alpha, (int, float)) else [float(part) for part in self.alpha]


def _paste_name(paste: Paste) -> str:
    """Name a paste for the settings of a run, one of :func:`functools.partial` with its arguments."""
    if isinstance(paste, partial):
        return f"{_paste_name(paste.func)} {paste.args} {paste.keywords}"
    return getattr(paste, "__name__", type(paste).__name__)


def named(face: Choice) -> str | int:
    """Name a choice for the settings of a run."""
    if isinstance(face, Reference):
        return hashlib.sha256(load(face.picture).tobytes()).hexdigest()
    return face
