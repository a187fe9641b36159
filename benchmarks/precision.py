"""What each precision gives back, how far its pictures are from float64's, and what it costs: the table of exactness.

    python -m benchmarks.precision --output results/precision.json --into docs/explanation/exactness.md

Every contestant computes the same weights. Pixels are tried with probes and random images, in every way of cutting them
into batches of one and of eight; edits are held to the model in float64; times are medians of turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flowxfer import Transferer
from flowxfer.bundle import Precision
from flowxfer.engines.probes import PROBES, probe
from flowxfer.export import export_bundle
from flowxfer.files import replacing
from flowxfer.glow import Glow
from flowxfer.glow.importers import import_weights
from flowxfer.glow.pixels import from_pixels, to_pixels
from flowxfer.models import hub
from flowxfer.types import Images

from .environment import describe, load_average
from .models import MODELS, make

Latents = list[npt.NDArray[Any]]

ALPHA = 0.4
BATCH = 8
BEGIN, END = "<!-- precision: begin -->", "<!-- precision: end -->"
ORACLES = ("F1", "F2")

__all__ = ["Contestant", "Row", "main"]


@dataclass(frozen=True)
class Contestant:
    """One way to compute a model: ``encode`` and ``decode`` take and give what a Glow's do, ``alpha`` included."""

    name: str
    encode: Callable[[Images], Any]
    decode: Callable[[Any], Images]
    edit: Callable[[Images], Images]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        model: the weights.
        contestant: precision and engine.
        restored: smallest share of pixels that came back, over the ways of cutting batches.
        worst: largest error of a value that did not, in grey levels.
        mean_error: of an edit, against float64, in grey levels.
        largest_error: likewise.
        milliseconds: median of encode and decode, by batch.
    """

    model: str
    contestant: str
    restored: float
    worst: int
    mean_error: float
    largest_error: int
    milliseconds: dict[int, float]


def contestants(glow: Glow, kind: Any, folder: Path, threads: int) -> list[Contestant]:
    """Every precision on every engine that runs here, and the mixed precision that is usual elsewhere."""
    found = []
    of_graphs: tuple[Precision, ...] = ("fp32", "exact-fp32", "exact-fp16")
    for precision in of_graphs:
        if not (folder / precision).exists():
            export_bundle(
                glow, folder / precision, name=precision, licence="-", origin="-", latents=kind, precision=precision
            )
        found.append(_transferer(f"{precision}, ONNX Runtime", Transferer(folder / precision, threads=threads)))
    of_pytorch: tuple[Precision, ...] = ("exact-fp32", "exact-fp16", "exact-bf16")
    for precision in of_pytorch:
        transferer = Transferer(folder / "exact-fp32", engine="torch", precision=precision, threads=threads)
        found.append(_transferer(f"{precision}, PyTorch", transferer))
    for name, dtype in (("fp16", torch.float16), ("bf16", torch.bfloat16)):
        found.append(_autocast(f"{name} nets, fp32 state, PyTorch", glow, kind, dtype))
    return found


def _transferer(name: str, transferer: Transferer) -> Contestant:
    def edit(images: Images) -> Images:
        return transferer.transfer(images, images[1], images[2], ALPHA)

    return Contestant(name, transferer.encode, transferer.decode, edit)


def _autocast(name: str, glow: Glow, kind: Any, dtype: torch.dtype) -> Contestant:
    """PyTorch with nets in fewer bits around a float32 state, as mixed precision has it."""

    @torch.inference_mode()
    def encode(images: Images) -> list[torch.Tensor]:
        glow.set_net_precision(dtype)
        return glow.encode(from_pixels(torch.from_numpy(images)), kind)

    @torch.inference_mode()
    def decode(latents: list[torch.Tensor]) -> Images:
        glow.set_net_precision(dtype)
        result: Images = to_pixels(glow.decode(latents, kind)).numpy()
        return result

    return Contestant(name, encode, decode, lambda images: decode([_edited(z) for z in encode(images)]))


def _edited(z: torch.Tensor) -> torch.Tensor:
    return z + ALPHA * (z[1:2] - z[2:3])


def images(size: int, count: int) -> Images:
    """Probes of every kind, and random images."""
    rng = np.random.default_rng(0)
    kinds = [probe(kind, size, seed) for seed in range(count) for kind in PROBES][: count - 2]
    return np.stack([*kinds, *rng.integers(0, 256, (2, size, size, 3)).astype(np.uint8)])


def restored(contestant: Contestant, pictures: Images) -> tuple[float, int]:
    """The smallest share of pixels that came back, and the largest error of a value, over four ways of batching."""
    shares, worst = [], 0
    for encoded, decoded in ((BATCH, BATCH), (BATCH, 1), (1, BATCH), (1, 1)):
        back = _round_trip(contestant, pictures, encoded, decoded)
        shares.append(float((back == pictures).all(-1).mean()))
        worst = max(worst, int(np.abs(back.astype(int) - pictures).max()))
    return min(shares), worst


def _round_trip(contestant: Contestant, pictures: Images, encoded: int, decoded: int) -> Images:
    parts = [contestant.encode(pictures[i : i + encoded]) for i in range(0, len(pictures), encoded)]
    levels = [_levels(part) for part in parts]
    whole = [np.concatenate(level) for level in zip(*levels, strict=True)]
    back = [contestant.decode(_like(parts[0], whole, i, i + decoded)) for i in range(0, len(pictures), decoded)]
    return np.concatenate(back)


def _levels(latents: Any) -> Latents:
    return [z.numpy() for z in latents] if isinstance(latents, list) else list(latents.levels)


def _like(latents: Any, levels: Latents, start: int, stop: int) -> Any:
    if isinstance(latents, list):
        return [torch.from_numpy(z[start:stop]) for z in levels]
    return type(latents)([z[start:stop] for z in levels], latents.model_hash, latents.numerics)


@torch.inference_mode()
def reference_edit(glow: Glow, kind: Any, pictures: Images) -> Images:
    """The edit as the model computes it in float64."""
    glow.set_net_precision(None)
    glow.double()
    try:
        latents = glow.encode(from_pixels(torch.from_numpy(pictures), dtype=torch.float64), kind)
        result: Images = to_pixels(glow.decode([_edited(z) for z in latents], kind)).numpy()
    finally:
        glow.float()
    return result


def milliseconds(found: Sequence[Contestant], pictures: Images, rounds: int) -> dict[str, float]:
    """Median time of encode and decode, all contestants in turns."""
    times: dict[str, list[float]] = {contestant.name: [] for contestant in found}
    for turn in range(rounds + 1):
        for contestant in found:
            begin = time.perf_counter()
            contestant.decode(contestant.encode(pictures))
            if turn:  # the first warms up
                times[contestant.name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(samples) for name, samples in times.items()}


def measure(name: str, glow: Glow, kind: Any, folder: Path, threads: int, rounds: int) -> list[Row]:
    """The table's lines of one model."""
    size = glow.config.image_size
    found = contestants(glow, kind, folder, threads)
    tried = images(size, 5 * BATCH if size < 128 else BATCH)
    photographs = np.stack([probe("photograph", size, seed) for seed in range(4 if size < 128 else 3)])
    expected = reference_edit(glow, kind, photographs)
    times = {batch: milliseconds(found, tried[:batch], rounds) for batch in (1, BATCH)}
    rows = []
    for contestant in found:
        error = np.abs(contestant.edit(photographs).astype(int) - expected)
        rows.append(
            Row(
                name,
                contestant.name,
                *restored(contestant, tried),
                float(error.mean()),
                int(error.max()),
                {batch: times[batch][contestant.name] for batch in times},
            )
        )
    return rows


def markdown(rows: Sequence[Row], environment: dict[str, Any]) -> str:
    """The table, and under it where it comes from."""
    lines = [
        "| model | precision and engine | pixels restored | worst value | edit: mean, largest error | batch 1, ms |"
        f" batch {BATCH}, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = "**all**" if row.restored == 1 else f"{100 * row.restored:.4g} %"
        times = " | ".join(f"{ms:.1f}" for ms in row.milliseconds.values())
        lines.append(
            f"| {row.model} | {row.contestant} | {share} | {row.worst} | {row.mean_error:.2g}, {row.largest_error} |"
            f" {times} |"
        )
    packages = ", ".join(f"{k} {environment['packages'].get(k)}" for k in ("onnxruntime", "torch"))
    lines += [
        "",
        f"Errors in grey levels. {environment['cpu']}, {environment['threads']} threads, {packages};"
        f" load before {environment['load_before']}, after {environment['load_after']}; {environment['date']}.",
    ]
    return "\n".join(lines)


def insert(table: str, page: Path) -> None:
    """Put the table between the page's two comments."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    with replacing(page) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[hub.DEFAULT, *ORACLES, "recipe-256"], help="names of models")
    parser.add_argument("--rounds", type=int, default=9, help="timed turns; a third as many for 256 px")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=Path, help="keep the models here for the next time")
    parser.add_argument("--output", type=Path, help="JSON to write")
    parser.add_argument("--into", type=Path, help="Markdown page to write the table into")
    options = parser.parse_args(arguments)
    if unknown := set(options.models) - {*MODELS, *ORACLES}:
        parser.error(f"expected models of {', '.join([*MODELS, *ORACLES])}, got {', '.join(sorted(unknown))}")
    environment = describe() | {"threads": options.threads}
    with tempfile.TemporaryDirectory() as temporary:
        rows = [row for name in options.models for row in _model_rows(name, options, Path(temporary))]
    environment["load_after"] = load_average()
    table = markdown(rows, environment)
    print(table)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(options.output) as file:
            values = {"environment": environment, "rows": [asdict(row) for row in rows]}
            file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    if options.into:
        insert(table, options.into)


def _model_rows(name: str, options: argparse.Namespace, temporary: Path) -> list[Row]:
    work = options.work or temporary
    if name in ORACLES:
        if not (root := os.environ.get("FLOWXFER_ORACLE")):
            print(f"{name} is left out: FLOWXFER_ORACLE does not name the folder with OpenAI's results")
            return []
        glow, kind, folder = import_weights(Path(root) / name / "graph_unoptimized.pb"), "eps", work / name
        folder.mkdir(parents=True, exist_ok=True)
    else:
        work.mkdir(parents=True, exist_ok=True)
        model = make(name, work)
        glow, kind, folder = model.glow(), model.manifest.latents, model.path
    rounds = options.rounds if glow.config.image_size < 128 else max(2, options.rounds // 3)
    return measure(name, glow, kind, folder, options.threads, rounds)


if __name__ == "__main__":
    main()
