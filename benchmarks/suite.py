"""The whole benchmark: models made, contestants timed in turns, everything as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowxfer.bundle.config import GlowConfig
from flowxfer.errors import InputError
from flowxfer.models import hub

from .cases import CASES
from .contestants import DEFAULT, Contestant, chosen
from .environment import describe, load_average
from .models import MODELS, ModelFolder, make
from .startup import fresh_processes
from .timing import ContestantError, Samples, Worker, interleaved, workers
from .worker import GEMM, GEMM_SIZE

Progress = Callable[[str], None]
Results = dict[str, Any]

LARGE = {"recipe-256": (1, 8), "recipe-256-deep": (1,)}  # their batches; with the most threads alone
LARGE_CASES = ("encode", "decode")

__all__ = ["Options", "Results", "prepare", "run"]


@dataclass(frozen=True)
class Options:
    """What to measure.

    Args:
        models: names of :data:`.models.MODELS`.
        contestants: names of :data:`.contestants.CONTESTANTS`.
        cases: names of :data:`.cases.CASES`.
        batches: images in a call, where the case leaves it open.
        threads: numbers of threads.
        seconds: for each contestant in each cell, about.
        startups: fresh processes for each contestant; their median counts.

    Raises:
        InputError: a name is unknown, or a number is not positive.
    """

    models: Sequence[str] = (hub.DEFAULT, "recipe-256")
    contestants: Sequence[str] = tuple(DEFAULT)
    cases: Sequence[str] = tuple(CASES)
    batches: Sequence[int] = (1, 4, 8, 16, 32)
    threads: Sequence[int] = (1, 2)
    seconds: float = 0.4
    startups: int = 3

    def __post_init__(self) -> None:
        for what, known, got in (("models", MODELS, self.models), ("cases", CASES, self.cases)):
            if unknown := [name for name in got if name not in known]:
                raise InputError(f"expected {what} of {', '.join(known)}, got {', '.join(unknown)}")
        chosen(list(self.contestants))
        if min((*self.batches, *self.threads, self.seconds, self.startups)) <= 0:
            raise InputError("expected batches, threads, seconds and startups above 0")

    def cells(self, model: str) -> Iterator[tuple[str, int]]:
        """Cases and batches of a model; large ones are only encoded and decoded, in small batches."""
        for name in self.cases:
            fixed = CASES[name].batch
            if model in LARGE and name not in LARGE_CASES:
                continue
            for batch in self.batches if fixed is None else (fixed,):
                if batch in LARGE.get(model, (batch,)):
                    yield name, batch


def prepare(options: Options, folder: Path, progress: Progress) -> None:
    """Make the models and what contestants need of them, compiled code too, so that :func:`run` only measures."""
    for name in options.models:
        progress(f"{name}: the model")
        model = make(name, folder)
        for contestant, entry in chosen(list(options.contestants)).items():
            marker = model.path / f".prepared-{contestant}"
            if marker.exists():
                continue
            progress(f"{name}: preparing {contestant}")
            with Worker(contestant, model.path, max(options.threads), entry.environment) as worker:
                try:
                    worker.do("prepare")
                except ContestantError as error:
                    progress(f"{name}: {contestant} cannot: {error}")  # and will say so again when it is timed
                    continue
            if contestant == "compiled":
                _compile(options, model, entry)
            marker.touch()


def run(options: Options, folder: Path, progress: Progress) -> Results:
    """Measure.

    Returns:
        ``environment``, ``options``, ``models``, ``rows`` (a contestant in a cell each), ``errors``, ``startup``,
        ``failures`` and ``peak`` (GFLOP/s for each number of threads), all JSON values.
    """
    prepare(options, folder, progress)
    results: Results = {"environment": describe(), "options": asdict(options), "models": {}, "peak": {}}
    results |= {"rows": [], "errors": [], "startup": [], "failures": []}
    for name in options.models:
        model = ModelFolder(folder / name)
        results["models"][name] = _description(model)
        for threads in [max(options.threads)] if name in LARGE else options.threads:
            _measure(options, model, threads, results, progress)
    progress("start-up")
    first = ModelFolder(folder / options.models[0])
    results["startup"] = list(_startups(options, first))
    _derive(results)
    results["environment"]["load_after"] = load_average()
    return results


def _measure(options: Options, model: ModelFolder, threads: int, results: Results, progress: Progress) -> None:
    """All cells of a model. Of a large one each has processes of its own, for none gives back the memory it took."""
    cells = list(options.cells(model.path.name))
    sittings = [[cell] for cell in cells] if model.path.name in LARGE else [cells]
    entries = chosen(list(options.contestants))
    environments = {name: entry.environment for name, entry in entries.items()} | {GEMM: {}}
    where = {"model": model.path.name, "threads": threads}
    for index, sitting in enumerate(sittings):
        with workers(environments, model.path, threads) as group:
            if index == 0:
                environments = _errors(group, environments, where, results)
            for case, batch in sitting:
                progress(f"{model.path.name}, {threads} threads: {case}, batch {batch}")
                able = {c: group[c] for c in environments if c == GEMM or batch in (entries[c].batches or (batch,))}
                samples, failures = interleaved(able, case, batch, options.seconds)
                cell = {**where, "case": case, "batch": batch}
                results["failures"] += [{**cell, "contestant": c, "reason": reason} for c, reason in failures.items()]
                _keep_peak(results["peak"], threads, samples.pop(GEMM))
                results["rows"] += [{**cell, "contestant": c, **found.summary()} for c, found in samples.items()]


def _errors(
    group: Mapping[str, Worker], environments: Mapping[str, Mapping[str, str]], where: Results, results: Results
) -> dict[str, Mapping[str, str]]:
    """Every contestant's numerical errors; those that could not say are left out of what is given back."""
    able = dict(environments)
    for name in [name for name in environments if name != GEMM]:
        try:
            results["errors"].append({**where, "contestant": name, **group[name].do("errors")})
        except ContestantError as error:
            results["failures"].append({**where, "contestant": name, "reason": str(error)})
            del able[name]
    return able


def _keep_peak(peak: dict[str, float], threads: int, samples: Samples) -> None:
    """The best that the machine showed in the whole run, in GFLOP/s."""
    best = 2e-9 * GEMM_SIZE**3 / min(samples.wall)
    peak[str(threads)] = max(best, peak.get(str(threads), 0.0))


def _derive(results: Results) -> None:
    """Add each row's share of the peak and its ratio to the eager peer."""
    eager = {_cell(row): row["median_ms"] for row in results["rows"] if row["contestant"] == "eager"}
    for row in results["rows"]:
        flops = results["models"][row["model"]]["flops"] * CASES[row["case"]].passes(row["batch"])
        row["share_of_peak"] = flops / (1e6 * row["median_ms"]) / results["peak"][str(row["threads"])]
        row["times_eager"] = eager[_cell(row)] / row["median_ms"] if _cell(row) in eager else None


def _cell(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("model", "threads", "case", "batch"))


def _description(model: ModelFolder) -> dict[str, Any]:
    from .flops import architecture_flops

    manifest = model.manifest
    config = GlowConfig.from_dict(manifest.architecture)
    flops = architecture_flops(config, priors=manifest.latents == "eps")
    return {"architecture": manifest.architecture, "latents": manifest.latents, "flops": flops}


def _startups(options: Options, model: ModelFolder) -> Iterator[dict[str, Any]]:
    threads = max(options.threads)
    for name, entry in chosen(list(options.contestants)).items():
        if found := fresh_processes(name, entry, model.path, threads, options.startups):
            yield {"model": model.path.name, "contestant": name, **found}


def _compile(options: Options, model: ModelFolder, entry: Contestant) -> None:
    """Have torch.compile fill its cache: every cell once, for each number of threads."""
    for threads in options.threads:
        with Worker("compiled", model.path, threads, entry.environment) as worker:
            for case, batch in options.cells(model.path.name):
                if batch in (entry.batches or (batch,)):
                    worker.do("turn", case=case, batch=batch, seconds=0)
