"""The stages between source and sink: order, bounds, and what happens when one of them fails."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from flowxfer.faces import align, paste_change
from flowxfer.video.io.frames import Frame
from flowxfer.video.pipeline import Progress, Step, changed, pasted, run
from flowxfer.video.prefetch import prefetch
from tests.video.beacons import Beacons, picture

SECONDS = 20  # after which something hangs


def within(call):
    """Run a call in a thread that must end, and return what it returned or raised."""
    outcome = []

    def target():
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it hangs"
    return outcome[0]


def stages_alive():
    return [thread for thread in threading.enumerate() if thread.name == "flowxfer-stage"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert stages_alive() == []


# ---------------------------------------------------------------- prefetch


def test_items_come_in_order():
    assert within(lambda: list(prefetch(iter(range(100)), 3))) == list(range(100))
    assert within(lambda: list(prefetch(prefetch(prefetch(iter("abc"), 1), 2), 1))) == ["a", "b", "c"]
    assert within(lambda: list(prefetch(iter([None, None]), 1))) == [None, None]


def test_no_more_items_wait_than_allowed():
    made = itertools.count()
    taken = prefetch(made, 3)
    for index in range(20):
        assert next(taken) == index
    waited = next(made) - 20
    assert 1 <= waited <= 3 + 1  # one more is held by the thread itself
    taken.close()


def test_an_error_comes_in_its_turn():
    def items():
        yield 1
        yield 2
        raise ZeroDivisionError("of the stage")

    taken = prefetch(items(), 5)
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="of the stage"):
        next(taken)


def test_who_stops_early_closes_all_stages():
    closed = []

    def items():
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    taken = prefetch((item for item in prefetch(items(), 2)), 2)
    assert next(taken) == 0
    within(taken.close)
    assert closed == ["flowxfer-stage"]


# ---------------------------------------------------------------- run


class Memory:
    """A sink that keeps what it gets."""

    def __init__(self, done=0, pause=0.0):
        self.done, self.pause, self.frames, self.boxes, self.states = done, pause, [], [], []

    def write(self, frame, pixels, box, *, record, state):
        time.sleep(self.pause)
        self.frames.append((frame.index, pixels))
        self.boxes.append(box)
        self.states.append(state)


def steps(count, missing=()):
    for index in range(count):
        pixels = picture(40)
        target = None if index in missing else _aligned(pixels)
        yield Step(Frame(index, Fraction(index, 25), pixels), target, state={"index": index})


def _aligned(pixels):
    return align(pixels, Beacons(), 32)[0]


def brighter(batch):
    """A change that shows."""
    return [replace(step, decoded=(step.target.crop // 2 + 100).astype(np.uint8)) for step in batch]


def same(batch):
    return [replace(step, decoded=step.target.crop.copy()) for step in batch]


def go(source, sink, *, change=brighter, paste=paste_change, batch=4, **options):
    stages = [(lambda it: changed(it, change, batch), batch), (lambda it: pasted(it, paste), 2)]
    return within(lambda: run(source, stages, sink, record=lambda step: {}, **options))


def test_frames_come_out_in_order_and_only_their_faces_change():
    sink = Memory()
    assert go(steps(11, missing=(0, 5, 6)), sink) is None
    assert [index for index, _ in sink.frames] == list(range(11))
    assert sink.states == [{"index": index} for index in range(11)]
    original = picture(40)
    for (index, pixels), box in zip(sink.frames, sink.boxes, strict=True):
        if index in (0, 5, 6):
            assert box is None
            assert np.array_equal(pixels, original)
        else:
            left, top, right, bottom = box
            changed_rows, changed_columns = np.nonzero((pixels != original).any(axis=2))
            assert left <= changed_columns.min() <= changed_columns.max() < right
            assert top <= changed_rows.min() <= changed_rows.max() < bottom


def test_a_face_that_does_not_change_has_no_box():
    sink = Memory()
    assert go(steps(5), sink, change=same) is None
    assert sink.boxes == [None] * 5


def test_the_model_gets_full_batches_without_the_frames_that_have_no_face():
    sizes = []

    def change(batch):
        sizes.append(len(batch))
        return brighter(batch)

    assert go(steps(10, missing=(1,)), Memory(), change=change) is None
    assert sizes == [3, 4, 2]


def test_frames_in_flight_do_not_depend_on_the_length_of_the_film():
    counts = {}
    for length in (60, 180):
        sink, most = Memory(pause=0.001), 0

        def watched(length=length, sink=sink):
            nonlocal most
            for step in steps(length):
                yield step
                most = max(most, step.frame.index + 1 - len(sink.frames))

        assert go(watched(), sink, batch=4) is None
        counts[length] = most
    # 4 wait for the model and 4 are in it, 2 wait for the paste and 2 for the sink, and each thread holds one or two.
    assert counts[60] >= 8
    assert max(counts.values()) <= 4 + 4 + 2 + 2 + 5


def test_progress_counts_from_what_was_done():
    told = []
    sink = Memory(done=3)
    assert go(itertools.islice(steps(9), 3, None), sink, total=9, progress=told.append) is None
    assert [now.done for now in told] == list(range(4, 10))
    assert all(now.total == 9 and now.fps > 0 for now in told)
    assert told[-1].left_seconds == 0 < told[0].left_seconds
    assert go(steps(2), Memory(), progress=told.append) is None
    assert told[-1].left_seconds is None


class BrokenError(Exception):
    pass


def _broken(*_, **__):
    raise BrokenError


def _broken_source():
    yield from steps(6)
    raise BrokenError


@pytest.mark.parametrize("where", ["source", "change", "paste", "sink", "progress", "show"])
def test_an_exception_anywhere_ends_everything(where):
    sink = Memory()
    if where == "sink":
        sink.write = _broken
    source = _broken_source() if where == "source" else steps(200)
    options = {where: _broken} if where in ("change", "paste", "progress", "show") else {}
    assert isinstance(go(source, sink, **options), BrokenError)
    assert len(sink.frames) <= 7


def test_ctrl_c_ends_everything():
    def progress(now):
        if now.done == 5:
            raise KeyboardInterrupt

    sink = Memory()
    assert isinstance(go(steps(200), sink, progress=progress), KeyboardInterrupt)
    assert len(sink.frames) == 5


# ---------------------------------------------------------------- where nothing comes


class CancelledError(Exception):
    """What a callback raises to end a run."""


def test_a_run_is_ended_while_no_frame_comes():
    """A film may take long from one frame to the next, and who waits for it may be gone."""
    go_on, told = threading.Event(), []

    def stuck():
        yield from steps(1)
        go_on.wait(SECONDS)

    def cancel(progress):
        told.append(progress)
        if len(told) > 1:
            raise CancelledError

    began = time.monotonic()
    with pytest.raises(CancelledError):
        run(
            stuck(),
            [(lambda steps: pasted(steps, paste_change), 1)],
            Memory(),
            record=lambda step: {},
            total=9,
            progress=cancel,
        )
    assert time.monotonic() - began < 10
    assert [(progress.done, progress.total) for progress in told] == [(1, 9), (1, 9)]
    go_on.set()
    within(lambda: [thread.join() for thread in stages_alive()])


def test_before_the_first_frame_nobody_knows_how_long():
    assert Progress.since(time.perf_counter() - 1, 0, 9) == Progress(0, 9, 0.0, None)
