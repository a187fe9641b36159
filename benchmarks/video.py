"""How fast a 720p film is edited, stage by stage, and what memory that takes.

    python -m flowxfer.benchmarks.video --output benchmarks/results

writes ``video.json`` and ``video.md``. The film is data/film/person.mp4, enlarged to 1280x720 and played there and back
until it is long enough. Three measurements:

- CPU time a frame of each stage, one stage after the other over the whole film, so that no stage's threads run into
  another's account; CPU time is what a busy machine distorts least.
- Frames a second of the real pipeline, in which the stages run side by side; median of several films.
- Peak memory of a process that edits a short film and of one that edits a long one.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from flowxfer import Transferer, images
from flowxfer.faces import Tracker, paste_blend
from flowxfer.video import Options, edit, open_sink, open_source
from flowxfer.video.changes import Edit, Smoothing
from flowxfer.video.pipeline import changed, followed, pasted

from .environment import describe, load_average

DATA = Path(__file__).parents[1] / "data"
HEIGHT, WIDTH, FPS = 720, 1280, 25
SMALL = 180, 320  # of the films for the memory: what grows with a film's length grows with its frames, not their size
ALPHA = 0.8
FLOW, FFMPEG = "flow", "FFmpeg: "

Result = TypeVar("Result")


def make_film(path: Path, frames: int, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Write the film, without sound."""
    import av

    with av.open(str(DATA / "film" / "person.mp4")) as film:
        pictures = [frame.reformat(width, height, "yuv420p") for frame in film.decode(video=0)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, picture in enumerate(islice(cycle([*pictures, *pictures[-2:0:-1]]), frames)):
            picture.pts, picture.time_base, picture.pict_type = index, Fraction(1, FPS), 0
            film.mux(stream.encode(picture))
        film.mux(stream.encode())


def performer(transferer: Transferer) -> tuple[np.ndarray, np.ndarray]:
    """A smile and the neutral face of the same person."""
    names = ("expressions/smile.png", "truth/id5/neutral.png")
    expression, neutral = (images.load(DATA / "faces" / name, transferer.size) for name in names)
    return expression, neutral


def stages(film: Path, folder: Path, transferer: Transferer, codec: str) -> dict[str, float]:
    """Milliseconds of CPU time a frame, by stage."""
    expression, neutral = performer(transferer)
    change = Edit(transferer, transferer.direction(expression, neutral), ALPHA, Smoothing(0))
    transferer.transfer(np.stack([expression] * transferer.batch_size), expression, neutral)  # warm up
    tracker, spent = Tracker(transferer.size), dict[str, float]()

    def account(name: str, call: Callable[[], Result]) -> Result:
        before = time.process_time()
        result = call()
        spent[name] = time.process_time() - before
        return result

    with open_source(film) as source, open_sink(folder / "stages.mp4", source, codec=codec, overwrite=True) as sink:
        frames = account("decode", lambda: list(source.frames()))
        steps = account("detect, track, align", lambda: list(followed(iter(frames), tracker)))
        steps = account(FLOW, lambda: list(changed(iter(steps), change, transferer.batch_size)))
        steps = list(pasted(iter(steps), paste_blend))  # what is added is only noted here
        assert all(step.box for step in steps), "every frame has a face that changes"

        def write() -> None:
            for step in steps:
                assert step.pixels is not None
                sink.write(step.frame, step.pixels, step.box, record={}, state={})

        account("paste, convert, encode", write)
        before = time.process_time()
    spent["join"] = time.process_time() - before
    spent |= {f"{FFMPEG}decode": _decoding(film), f"{FFMPEG}encode": _encoding(film, folder / "stages.mp4")}
    return {name: 1000 * seconds / len(frames) for name, seconds in spent.items()}


def _decoding(film: Path) -> float:
    """CPU seconds that the decoder takes, with nothing else."""
    import av

    before = time.process_time()
    with av.open(str(film)) as opened:
        for _ in opened.decode(video=0):
            pass
    return time.process_time() - before


def _encoding(film: Path, like: Path) -> float:
    """CPU seconds that the encoder takes for the pictures of a film, as it is set for :func:`open_sink`."""
    import av

    from flowxfer.video.io.encoders import choose_encoder

    with open_source(film) as source, av.open(str(film)) as opened:
        encoder = choose_encoder(like, source.look).open()
        pictures = list(opened.decode(video=0))
    before = time.process_time()
    for index, picture in enumerate(pictures):
        picture.pts, picture.pict_type = index * 512, 0
        encoder.encode(picture)
    encoder.encode(None)
    return time.process_time() - before


def whole(film: Path, folder: Path, transferer: Transferer, codec: str, rounds: int) -> dict[str, Any]:
    """Frames a second of the pipeline, and CPU time a frame."""
    expression, neutral = performer(transferer)
    speeds, costs = [], []
    for number in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        out = folder / f"whole{number}.mp4"
        report = edit(film, out, expression, neutral, alpha=ALPHA, transferer=transferer, options=Options(codec=codec))
        speeds.append(report.frames / (time.perf_counter() - wall))
        costs.append(1000 * (time.process_time() - cpu) / report.frames)
        assert report.found == report.frames
    return {
        "fps": statistics.median(speeds),
        "fps_of_rounds": speeds,
        "cpu_ms": statistics.median(costs),
    }


def peak_mib(film: Path, folder: Path, model: str, threads: int, codec: str) -> float:
    """Peak memory of a fresh process that edits the film."""
    command = [sys.executable, "-m", "flowxfer.benchmarks.video", "--child", str(film), "--output", str(folder)]
    command += ["--model", model, "--threads", str(threads), "--codec", codec]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def child(film: Path, folder: Path, model: str, threads: int, codec: str) -> None:
    """What :func:`peak_mib` starts."""
    transferer = Transferer(model, threads=threads)
    expression, neutral = performer(transferer)
    options = Options(codec=codec, overwrite=True)
    edit(film, folder / "memory.mp4", expression, neutral, alpha=ALPHA, transferer=transferer, options=options)
    print(own_peak_mib())


def own_peak_mib() -> float:
    """Peak memory of this process; getrusage tells what the process that started this one had, where that was more."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(model: str, threads: int, codec: str, frames: int, long: int, rounds: int) -> dict[str, Any]:
    """All figures, as JSON values."""
    results: dict[str, Any] = {"environment": describe(), "film": f"{WIDTH}x{HEIGHT}, {frames} frames, H.264"}
    transferer = Transferer(model, threads=threads)
    results["model"] = {"name": transferer.manifest.name, "precision": transferer.manifest.precision}
    results |= {"threads": threads, "codec": codec, "round_trip_error": transferer.self_test()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_film(folder / "film.mp4", frames)
        results["stages_cpu_ms"] = stages(folder / "film.mp4", folder, transferer, codec)
        results["ffmpeg_cpu_ms"] = {
            name: results["stages_cpu_ms"].pop(name)
            for name in list(results["stages_cpu_ms"])
            if name.startswith(FFMPEG)
        }
        total, flow = sum(results["stages_cpu_ms"].values()), results["stages_cpu_ms"][FLOW]
        ours = total - sum(results["ffmpeg_cpu_ms"].values())
        results |= {"share_not_flow": 1 - flow / total, "share_not_flow_without_ffmpeg": 1 - flow / ours}
        results["pipeline"] = whole(folder / "film.mp4", folder, transferer, codec, rounds)
        results["peak_mib"] = {}
        for count in (min(100, long), long):
            make_film(folder / "film.mp4", count, *SMALL)
            results["peak_mib"][str(count)] = peak_mib(folder / "film.mp4", folder, model, threads, codec)
    results["environment"]["load_after"] = load_average()
    return results


def page(results: dict[str, Any]) -> Iterator[str]:
    """The results in Markdown."""
    environment, cpu_ms = results["environment"], results["stages_cpu_ms"]
    model, total = results["model"], sum(cpu_ms.values())
    yield f"{results['film']}; model {model['name']}, {model['precision']}, "
    yield f"round-trip error {results['round_trip_error']}; {environment['cpu']}, "
    yield f"{results['threads']} threads of {environment['cores']} cores, codec {results['codec']}; "
    yield f"load {environment['load_before']} before, {environment['load_after']} after; {environment['date']}.\n\n"
    yield "| stage | CPU time a frame, ms | share |\n|---|---:|---:|\n"
    for name, value in cpu_ms.items():
        yield f"| {name} | {value:.1f} | {value / total:.0%} |\n"
    yield f"| all | {total:.1f} | not the flow: {results['share_not_flow']:.0%} |\n\n"
    ffmpeg = results["ffmpeg_cpu_ms"]
    yield "Of that, FFmpeg alone, with nothing else running: "
    yield ", ".join(f"{name.removeprefix(FFMPEG)} {value:.1f} ms" for name, value in ffmpeg.items())
    yield f"; without it, {results['share_not_flow_without_ffmpeg']:.0%} are not the flow.\n\n"
    pipeline = results["pipeline"]
    yield f"The pipeline, end to end by the clock: {pipeline['fps']:.1f} frames a second "
    yield f"(median of {len(pipeline['fps_of_rounds'])}; "
    yield f"{min(pipeline['fps_of_rounds']):.1f} to {max(pipeline['fps_of_rounds']):.1f}), "
    yield f"{pipeline['cpu_ms']:.1f} ms of CPU time a frame.\n\n"
    yield f"| frames of {SMALL[1]}x{SMALL[0]} | peak memory, MiB |\n|---:|---:|\n"
    for count, value in results["peak_mib"].items():
        yield f"| {count} | {value:.0f} |\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m flowxfer.benchmarks.video", description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--model", default="synthetic-64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--frames", type=int, default=150, help="of the film for the speeds")
    parser.add_argument("--long", type=int, default=2000, help="of the longer film for the memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return child(asked.child, asked.output, asked.model, asked.threads, asked.codec)
    results = measure(asked.model, asked.threads, asked.codec, asked.frames, asked.long, asked.rounds)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "video.json").write_text(json.dumps(results, indent=2) + "\n")
    (asked.output / "video.md").write_text("".join(page(results)))
    print("".join(page(results)))
    return None


if __name__ == "__main__":
    main()
