"""The recording and replaying of PyTorch's CUDA graphs, on a pretended GPU."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from flowxfer.engines.torch import cuda_graphs
from flowxfer.engines.torch.cuda_graphs import Graphed


class Recorder:
    """Stands for the GPU: a call inside ``graph`` is recorded, and a replay repeats it."""

    def __init__(self):
        self.recording = None
        self.calls, self.replays = 0, 0

    def function(self, x, levels, factor, kind):
        self.calls += 1
        outputs = [x * factor, *(level + x for level in levels)] if kind == "eps" else [x]
        if self.recording is not None:
            self.recording.repeat = lambda: self._fill(outputs, x, levels, factor, kind)
        return outputs

    def _fill(self, outputs, x, levels, factor, kind):
        fresh = [x * factor, *(level + x for level in levels)] if kind == "eps" else [x]
        for output, value in zip(outputs, fresh, strict=True):
            output.copy_(value)


@pytest.fixture
def gpu(monkeypatch):
    recorder = Recorder()

    class Graph:
        def replay(self):
            recorder.replays += 1
            self.repeat()

    @contextlib.contextmanager
    def graph(made):
        recorder.recording = made
        yield
        recorder.recording = None

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(cuda_graphs.torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(cuda_graphs.torch.cuda, "graph", graph)
    monkeypatch.setattr(cuda_graphs.torch.cuda, "Stream", Stream)
    monkeypatch.setattr(cuda_graphs.torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(cuda_graphs.torch.cuda, "current_stream", Stream)
    return recorder


def arguments(count, start=0.0):
    x = torch.arange(count, dtype=torch.float64) + start
    return x, [x + 1, x + 2], torch.tensor(3.0), "eps"


def expected(x, levels, factor, kind):
    return [x * factor, *(level + x for level in levels)]


def equal(got, wanted):
    return all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_a_shape_is_recorded_once_and_replayed_on_new_values(gpu):
    graphed = Graphed(gpu.function)
    first = graphed(*arguments(4))
    recorded = gpu.calls
    second = graphed(*arguments(4, start=10.0))
    assert gpu.calls == recorded  # no launch from the host
    assert gpu.replays == 2
    assert equal(second, expected(*arguments(4, start=10.0)))
    assert equal(first, expected(*arguments(4)))  # results outlive the next replay


def test_other_shapes_and_constants_are_other_recordings(gpu):
    graphed = Graphed(gpu.function)
    graphed(*arguments(4))
    recorded = gpu.calls
    assert equal(graphed(*arguments(8)), expected(*arguments(8)))
    assert gpu.calls == 2 * recorded
    x, levels, factor, _ = arguments(4)
    assert equal(graphed(x, levels, factor, "raw"), [x])
    assert gpu.calls == 3 * recorded


def test_threads_take_turns(gpu):
    graphed = Graphed(gpu.function)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda start: graphed(*arguments(4, float(start))), range(40)))
    for start, result in enumerate(results):
        assert equal(result, expected(*arguments(4, float(start))))
