"""One sitting of training at a machine that is lent for minutes: ``python -m benchmarks.sitting RUN.toml -o OUT``.

Renderers fill the run's folder of pairs on the CPU's cores, one each, while the run trains on; at the end it is
validated, sheets are drawn, and everything is copied to OUT in files below 16 MB. The next sitting, told of that folder
by ``--state``, goes on where this one stopped. ``--dry-run`` tries it all anywhere: one renderer, two sittings of a
step.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

from flowxfer.errors import FlowxferError, InputError
from flowxfer.glow.training import Figures, TrainingConfig, train

PART_BYTES = 15 << 20
RESERVE_MINUTES = 0.5  # for the last validation, the sheets and the copies
RENDER = (
    f"{shlex.quote(sys.executable)} -m flowxfer.synth dataset --people 100000 --shard 1 --size {{size}}"
    " --seed {seed} -o {folder}/{seed}.npy"
)


def split(path: Path, folder: Path, limit: int = PART_BYTES) -> list[Path]:
    """Copy a file into a folder: as it is, or where it is larger in parts of at most ``limit`` bytes."""
    size = path.stat().st_size
    if size <= limit:
        return [Path(shutil.copy(path, folder))]
    parts = []
    with path.open("rb") as file:
        for index in range(-(-size // limit)):
            parts.append(folder / f"{path.name}.part{index:03d}")
            parts[-1].write_bytes(file.read(limit))
    return parts


def join(name: str, folder: Path, target: Path) -> bool:
    """Put together in ``target`` what :func:`split` made of a file; False where nothing of it is in the folder."""
    parts = [folder / name] if (folder / name).exists() else sorted(folder.glob(f"{name}.part*"))
    if parts:
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(b"".join(part.read_bytes() for part in parts))
    return bool(parts)


@contextlib.contextmanager
def renderers(command: str, count: int, config: TrainingConfig, logs: Path, first_seed: int) -> Iterator[list[Path]]:
    """Run renderers, a core each and yielding to the training, until the block is left; yields their logs."""
    folder = Path(config.pairs).parent
    folder.mkdir(parents=True, exist_ok=True)
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    with contextlib.ExitStack() as stack:
        written = []
        for seed in range(first_seed, first_seed + count):
            words = shlex.split(
                command.format(seed=seed, folder=shlex.quote(str(folder)), size=config.model.image_size)
            )
            written.append(logs / f"renderer_{seed}.log")
            log = stack.enter_context(written[-1].open("wb"))
            process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | one)
            stack.callback(process.wait)
            stack.callback(process.kill)  # a shard that it was writing is under a hidden name
            with contextlib.suppress(AttributeError, OSError):  # Windows has no such call
                os.setpriority(os.PRIO_PROCESS, process.pid, 10)
        yield written


def wait_for(pattern: str, count: int, logs: Sequence[Path], patience_s: float) -> None:
    """Wait until there are so many shards.

    Raises:
        InputError: there are fewer after all that patience.
    """
    end = time.monotonic() + patience_s
    while (found := sum(Path(name).with_suffix(".npz").exists() for name in glob(pattern))) < count:
        if time.monotonic() > end:
            said = " ".join(path.read_text(errors="replace")[-200:].strip() for path in logs[:1])
            raise InputError(f"expected {count} shards that fit {pattern} in {patience_s:g} s, got {found}: {said}")
        time.sleep(0.2)


def progress(config: TrainingConfig) -> Callable[[int, Figures], None]:
    """Print every so many steps how fast it goes and how well."""
    last = time.monotonic()

    def on_step(step: int, figures: Figures) -> None:
        nonlocal last
        if step % config.log_steps == 0:
            rate = config.log_steps * config.batch / 2 / (time.monotonic() - last)
            last = time.monotonic()
            known = (f"{name} {value:.3g}" for name, value in vars(figures).items() if not math.isnan(value))
            print(f"step {step}: {rate:.0f} transfers a second, {', '.join(known)}", flush=True)

    return on_step


def sit(config: TrainingConfig, options: argparse.Namespace, output: Path, state: Path | None) -> None:
    """One sitting of the run, what it leaves in ``output``."""
    end = time.monotonic() + 60 * (options.minutes - RESERVE_MINUTES)
    output.mkdir(parents=True, exist_ok=True)
    run = Path(config.output)
    resume = (state is not None and join("checkpoint.pt", state, run)) or (run / "checkpoint.pt").exists()
    if state is not None:
        for table in state.glob("*.csv"):
            shutil.copy(table, run)
    with renderers(options.render, options.renderers, config, output, options.seed) as logs:
        wait_for(config.pairs, options.first, logs, options.patience)
        train(config, resume=resume, sitting_minutes=(end - time.monotonic()) / 60, on_step=progress(config))
    for path in sorted([*run.glob("*.*"), *(run / "pictures").glob("*.png")]):
        if path.is_file() and path.name[0] != ".":
            split(path, output)


def dry(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """The same model and data in two steps on the CPU, in folders of their own."""
    pairs = str(folder / "pairs" / Path(config.pairs).name)
    small = {"device": "cpu", "steps": 2, "minutes": 0.0, "batch": 8, "log_steps": 1}
    return replace(config, output=str(folder / "run"), pairs=pairs, **small)  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> int:
    """One sitting, or a dry run of two; the exit status is 1 after an error that its owner can mend."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sitting", description=__doc__.splitlines()[0])
    parser.add_argument("config", help="TOML file of the run, with pairs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for what is to be kept")
    parser.add_argument("--minutes", type=float, default=8.0, help="of the sitting, all in all (default %(default)s)")
    parser.add_argument("--state", type=Path, help="the folder that the sitting before left")
    parser.add_argument(
        "--renderers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="(default %(default)s)"
    )
    parser.add_argument("--render", default=RENDER, help="command of one, with {seed}, {folder} and {size}")
    parser.add_argument("--seed", type=int, default=0, help="the first renderer's: another one for every sitting")
    parser.add_argument("--first", type=int, default=8, help="shards to begin with (default %(default)s)")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds for them (default %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU: one renderer, two sittings of a step")
    options = parser.parse_args(arguments)
    try:
        config = TrainingConfig.load(options.config)
        if not config.pairs:
            raise InputError(f"expected pairs in {options.config}: a sitting renders them")
        if not options.dry_run:
            sit(config, options, options.output, options.state)
            return 0
        options.renderers, options.first, options.minutes = 1, 1, 0.0
        with tempfile.TemporaryDirectory() as folder:
            config = dry(config, Path(folder))
            sit(config, options, options.output / "first", None)
            shutil.rmtree(config.output)  # as on another machine
            sit(config, options, options.output / "second", options.output / "first")
    except FlowxferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
