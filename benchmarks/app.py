"""How soon the web app answers when its slider moves.

    python -m flowxfer.benchmarks.app

Three ways in turns, so that noise meets them all: what the slider calls, which writes the picture, its latents and the
enlarged one for the page; the same over HTTP, asked for as a browser asks; and that with the picture for the page. A
result is compared with the library's first, for a fast wrong answer is worth nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flowxfer import Transferer

from .environment import describe
from .timing import Samples

WARM_UP = 5

__all__ = ["measure", "page"]


def measure(transferer: Transferer, moves: int) -> dict[str, Samples]:
    """Time the answers to a slider that moves.

    Args:
        transferer: the model.
        moves: for each way.
    """
    import httpx

    from flowxfer.app import Studio, serving

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(transferer, port=None) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        studio = Studio(transferer, Path(folder))
        target, expression, neutral = (studio.demo[role][0] for role in ("target", "expression", "neutral"))
        expected = transferer.transfer(target.latents, expression.latents, neutral.latents, 0.5)[0]
        index = _index(client.get("config").json())

        def called(alpha: float) -> Path:
            return studio.transfer(target, expression, neutral, [alpha] * studio.levels).face

        def asked(alpha: float) -> Any:
            # In the place of each of six states, which the server keeps, a browser sends nothing.
            return _answer(client, index, [None] * 6 + [alpha] + [1.0] * studio.levels)

        for face in (called(0.5), io.BytesIO(client.get(asked(0.5)[1]["url"]).content)):
            with Image.open(face) as picture:
                assert np.array_equal(np.asarray(picture), expected)
        return _in_turns(
            {
                "in the process": called,
                "over HTTP": asked,
                "over HTTP, with the picture": lambda alpha: client.get(asked(alpha)[0]["url"]).raise_for_status(),
            },
            moves,
        )


def page(results: Mapping[str, Samples]) -> Iterator[str]:
    """The results in Markdown."""
    yield "| answer to a slider's move | median, ms | quartiles, ms |\n|---|---:|---:|\n"
    for name, samples in results.items():
        times = samples.summary()
        yield f"| {name} | {times['median_ms']:.0f} | {times['q1_ms']:.0f} to {times['q3_ms']:.0f} |\n"


def _index(config: Mapping[str, Any]) -> int:
    """Which of the page's actions the slider of transfers begins."""
    (slider,) = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "alpha"]
    (found,) = [action["id"] for action in config["dependencies"] if [slider, "change"] in map(list, action["targets"])]
    return int(found)


def _answer(client: Any, index: int, values: list[Any]) -> Any:
    """Ask as the page does: join the queue, then read the stream of answers to its end."""
    session = {"session_hash": "benchmark"}
    client.post("gradio_api/queue/join", json={"data": values, "fn_index": index, **session}).raise_for_status()
    with client.stream("GET", "gradio_api/queue/data", params=session) as stream:
        messages = [json.loads(line.removeprefix("data:")) for line in stream.iter_lines() if line]
    (completed,) = [message for message in messages if message["msg"] == "process_completed"]
    assert completed["success"], completed
    return completed["output"]["data"]


def _in_turns(ways: Mapping[str, Callable[[float], Any]], moves: int) -> dict[str, Samples]:
    samples = {name: Samples() for name in ways}
    for move in range(-WARM_UP, moves):
        alpha = round(0.01 * (move % 100), 2)
        for name, answer in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answer(alpha)
            if move >= 0:
                samples[name].wall.append(time.perf_counter() - wall)
                samples[name].cpu.append(time.process_time() - cpu)
    return samples


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m flowxfer.benchmarks.app", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="synthetic-64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--moves", type=int, default=50)
    asked = parser.parse_args()
    environment = describe()
    results = measure(Transferer(asked.model, threads=asked.threads), asked.moves)
    print(
        f"Model {asked.model}, {asked.threads} threads of {environment['cores']} cores, {environment['cpu']}, "
        f"{asked.moves} moves, load {environment['load_before']} before; {environment['date']}.\n"
    )
    print("".join(page(results)), end="")


if __name__ == "__main__":
    main()
