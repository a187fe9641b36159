"""The protocol of "Expression Transfer Using Flow-based Generative Models" (CVPR Workshops 2021).

Every target's mean face receives every expression of the source, ``z = mean(z_target) + alpha · (z_expression −
mean(z_source))``, in eleven strengths; the results are judged by likeness and by action units. What is written has the
folders, names and formats of the paper's repository, see :class:`flowxfer.evaluation.layout.Layout`, and beside them
tidy CSV.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL

from flowxfer import __version__, images
from flowxfer.engines.ort.providers import runtime
from flowxfer.errors import InputError, reason
from flowxfer.evaluation.action_units import Meter
from flowxfer.evaluation.cast import Cast, Person, Skipped, usable
from flowxfer.evaluation.judging import judge_action_units, judge_likeness
from flowxfer.evaluation.layout import Layout, Progress, Results, strip
from flowxfer.evaluation.likeness import Embedder
from flowxfer.evaluation.tables import write_tidy
from flowxfer.files import replacing
from flowxfer.images import Pixels
from flowxfer.latents import Latents
from flowxfer.provenance import Mark, inherited
from flowxfer.transferer import PAPER_ALPHAS, Transferer

__all__ = ["run"]


def run(
    flow: Transferer,
    cast: Cast,
    output: Path,
    *,
    alphas: Sequence[float] = PAPER_ALPHAS,
    embedder: Embedder | None = None,
    meter: Meter | None = None,
    mark: Mark | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Skipped]:
    """Transfer and judge; called again, it does what is not done yet.

    Args:
        flow: the model.
        cast: who takes part.
        output: the folder to write to.
        alphas: strengths.
        embedder: measures likeness; without one there are no such tables, and faceless pictures pass unnoticed.
        meter: measures action units; without one there are no such tables.
        mark: what the pictures say of how they were made, to which each adds its alpha; by default nothing.
        progress: is told how far it is.

    Returns:
        The pictures that were left out, which ``evaluation/skipped.csv`` also lists.

    Raises:
        InputError: the output holds another run, or no picture of the source can be used.
    """
    layout = Layout(Path(output))
    scales = {"likeness": embedder.scale if embedder else None, "action units": type(meter).__name__ if meter else None}
    _claim(layout, _description(flow, cast, alphas), scales, _made_with(flow))
    pictures = _Pictures(flow, cast, layout, tuple(alphas), embedder, mark, progress)
    results = pictures.make()
    if embedder is not None:
        judge_likeness(results, embedder, progress)
    if meter is not None:
        judge_action_units(results, meter, progress)
    layout.tidy("skipped").unlink(missing_ok=True)  # an earlier call's: a picture may have been mended since
    if pictures.skipped:
        write_tidy(pictures.skipped, layout.tidy("skipped"))
    return pictures.skipped


def _description(flow: Transferer, cast: Cast, alphas: Sequence[float]) -> dict[str, object]:
    return {
        "model": flow.manifest.model_hash,
        "source": cast.source.name,
        "targets": [person.name for person in cast.targets],
        "expressions": {str(number): path.stem for number, path in cast.expressions.items()},
        "alphas": list(alphas),
    }


def _made_with(flow: Transferer) -> dict[str, str]:
    model, packages = flow.manifest, {"NumPy": np, "Pillow": PIL, "ONNX Runtime": runtime()}
    return {
        "model": f"{model.name}, {model.image_size} px, {model.precision}, {model.licence}",
        "flowxfer": __version__,
        "Python": platform.python_version(),
        **{name: package.__version__ for name, package in packages.items()},
        "providers": ", ".join(flow.providers),
    }


def _claim(
    layout: Layout, description: dict[str, object], scales: dict[str, str | None], made_with: dict[str, str]
) -> None:
    """Write down in ``run.json`` what this run is, or see that it is the one that was begun.

    What measures may come later, but not change. With which versions it was made is noted, not held to.
    """
    path = layout.run
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise InputError(
            f"expected what an earlier run wrote in {path}: {reason(error)}; choose another output"
        ) from error
    if set(before).isdisjoint(description) and (path.exists() or layout.holds_results):
        raise InputError(f"expected a new folder or that of an earlier run, got {layout.root} with other files in it")
    merged = {**description, **{what: name or before.get(what) for what, name in scales.items()}}
    if others := [what for what, value in merged.items() if before.get(what) not in (None, value)]:
        raise InputError(
            f"expected {layout.root} to hold this run, but its {', '.join(others)} differ; choose another output"
        )
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({**merged, "made with": made_with}, indent=1) + "\n", encoding="utf-8")


@dataclass
class _Pictures:
    """Makes the pictures of a run that are not there yet."""

    flow: Transferer
    cast: Cast
    layout: Layout
    alphas: tuple[float, ...]
    embedder: Embedder | None
    mark: Mark | None
    progress: Progress
    skipped: list[Skipped] = field(default_factory=list)

    def make(self) -> Results:
        means = self._means()
        faces = self._usable(list(self.cast.expressions.values()))
        expressions = {number: path for number, path in self.cast.expressions.items() if path in faces}
        targets = tuple(person.name for person in self.cast.targets if person.name in means)
        for number, path in expressions.items():
            images.save(faces[path], self.layout.expression(number) / f"{path.stem}.png", self.mark and inherited(path))
            self._transfer(number, faces[path], targets, means)
        return Results(self.layout, self.cast.source.name, targets, expressions, self.alphas)

    def _means(self) -> dict[str, Latents]:
        """The mean of the latents of everybody who has a picture that can be used."""
        people = (self.cast.source, *self.cast.targets)
        means = {}
        for done, person in enumerate(people):
            self.progress("mean faces", done, len(people))
            if (mean := self._mean(person)) is not None:
                means[person.name] = mean
            elif person == self.cast.source:
                raise InputError(f"expected pictures of the source, {person.name}, but none of them can be used")
        return means

    def _mean(self, person: Person) -> Latents | None:
        faces = self._usable(person.pictures)
        if not faces:
            return None
        mean = self.flow.mean(np.stack(list(faces.values())))
        if not self.layout.mean(person.name).exists():
            images.save(self.flow.decode(mean)[0], self.layout.mean(person.name), self.mark)
        return mean

    def _usable(self, paths: Sequence[Path]) -> dict[Path, Pixels]:
        faces, skipped = usable(paths, self.flow.size, self.embedder)
        self.skipped += skipped
        return faces

    def _transfer(self, number: int, face: Pixels, targets: Sequence[str], means: dict[str, Latents]) -> None:
        # A strip is written last: where it stands, so does everything that belongs to it.
        missing = [person for person in targets if not self.layout.strip(number, person).exists()]
        if not missing:
            return
        performed = self.flow.encode(face)
        for done, person in enumerate(missing):
            self.progress(f"expression{number}", done, len(missing))
            made = self.flow.sweep(means[person], performed, means[self.cast.source.name], self.alphas)
            self._save(number, person, made)

    def _save(self, number: int, person: str, made: Pixels) -> None:
        for alpha, picture in zip(self.alphas, made, strict=True):
            images.save(picture, self.layout.picture(number, person, alpha), self._marked(alpha))
        folder = self.layout.expression(number) / person
        for role, who in (("source", self.cast.source.name), ("target", person)):
            images.save(images.load(self.layout.mean(who)), folder / f"{person}_{role}" / f"{who}_mean.png", self.mark)
        images.save(strip(made), self.layout.strip(number, person), self._marked(*self.alphas))

    def _marked(self, *alphas: float) -> Mark | None:
        return self.mark and replace(self.mark, alphas=alphas)
