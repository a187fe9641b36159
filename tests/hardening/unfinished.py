"""Work folders of unfinished films, which a run goes on from."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from flowxfer import Transferer
from flowxfer.bundle import sha256
from flowxfer.faces import tracking
from flowxfer.faces.detector import crop_transform
from flowxfer.faces.resampling import resample
from flowxfer.video import Options, edit, job, open_sink
from flowxfer.video.io.journal import write_entry
from tests.hardening.law import Kind, tried
from tests.hardening.models import FACE, bundle_in
from tests.hardening.mutation import mutated, mutated_json
from tests.video.beacons import Beacons, walk


class Following(Beacons):
    """A detector that looks at where the eyes were, as dlib's does."""

    def refine(self, image: np.ndarray, eyes: np.ndarray) -> np.ndarray:
        resample(image, crop_transform(eyes, 32), 32, 32, fineness=1)
        return eyes


def begin(folder: Path, output: Path, *, smooth: float) -> Callable[[], object]:
    """Leave an unfinished film of two segments in a folder; return what goes on with it."""
    flow, film, frames = Transferer(bundle_in(folder), threads=1), walk(5), 0
    job.open_sink = functools.partial(open_sink, segment_frames=2)
    tracking.embed = lambda crop: np.zeros(128)  # dots have no faces that a network could tell apart

    def stop(progress: object) -> None:
        nonlocal frames
        frames += 1
        if frames == 5:
            raise KeyboardInterrupt

    options = Options(detector=Following(), codec="ffv1" if output.suffix else None, smooth=smooth, resume=True)
    run = functools.partial(edit, film, output, FACE, FACE // 2, transferer=flow)
    with suppress(KeyboardInterrupt):
        run(options=replace(options, progress=stop))
    return functools.partial(run, options=options)


def repair(path: Path) -> None:
    """Make a segment's checksums right again, so that they do not hide what else is wrong.

    Args:
        path: of its entry, which stays as it is where it cannot be read; or of its packets.
    """
    own = path.with_suffix(".json")
    with suppress(FileNotFoundError, ValueError, RecursionError):
        entry = json.loads(own.read_bytes())
        if isinstance(entry, dict):
            entry.pop("sha256", None)
            write_entry(own, entry if path == own else entry | {"files": {path.name: sha256(path)}})


def _kind(name: str, smooth: float) -> Callable[[Path], Callable]:
    """Damaged or hostile journals and packets of a film, or of a folder of pictures."""

    def made(folder: Path) -> Callable:
        output = folder / name
        resume, work, sound = begin(folder, output, smooth=smooth), folder / f".{name}.partial", folder / "sound"
        shutil.copytree(work, sound)
        files = sorted(path.name for path in sound.iterdir() if path.is_file())
        resume()  # a folder that is refused would test the refusal alone
        assert output.exists()

        def attempt(random: Random) -> None:
            for path in (output, work):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.copytree(sound, work)
            path = work / random.choice(files)
            data = path.read_bytes()
            by_value = path.suffix == ".json" and random.random() < 0.6
            path.write_bytes(mutated_json(json.loads(data), random) if by_value else mutated([data], random))
            if path.name != "job.json" and random.random() < 0.5:
                repair(path)
            tried(resume)

        return attempt

    return made


KINDS = {
    "unfinished-films": Kind(400, _kind("out.mkv", 0.5)),
    "unfinished-pictures": Kind(400, _kind("out", 0.0)),
}
