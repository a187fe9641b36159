"""Jobs in batches: what goes together, in which order, and what becomes of those that fail or are called off."""

from __future__ import annotations

import threading

import pytest

from flowxfer.serve.batching import Batcher


class Held:
    """Work that notes its batches and waits until it may go on."""

    def __init__(self):
        self.batches = []
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, items):
        self.batches.append(list(items))
        self.begun.set()
        assert self.may_go_on.wait(10)
        return [2 * item for item in items]


@pytest.fixture
def batcher():
    batcher = Batcher(batch_size=4, wait_s=0)
    yield batcher
    batcher.close()


@pytest.fixture
def held(batcher):
    """Work whose first job, 0, is under way, so that further ones wait."""
    held = Held()
    batcher.submit(held, 0)
    assert held.begun.wait(10)
    return held


def results(held, futures):
    held.may_go_on.set()
    return [future.result(10) for future in futures]


def test_what_waits_goes_together_up_to_the_batch_size(batcher, held):
    assert results(held, [batcher.submit(held, item) for item in range(1, 7)]) == [2, 4, 6, 8, 10, 12]
    assert held.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_kinds_do_not_mix_and_the_oldest_job_goes_first(batcher, held):
    other = Held()
    other.may_go_on.set()
    futures = [batcher.submit(*job) for job in ((held, 1), (other, 2), (held, 3), (other, 4))]
    assert results(held, futures) == [2, 4, 6, 8]
    assert held.batches == [[0], [1, 3]]
    assert other.batches == [[2, 4]]


def test_sizes_count_and_a_large_job_goes_alone(batcher, held):
    futures = [batcher.submit(held, item, size) for item, size in ((1, 3), (2, 2), (3, 1), (4, 9), (5, 1))]
    assert results(held, futures) == [2, 4, 6, 8, 10]
    assert held.batches == [[0], [1], [2, 3], [4], [5]]  # 3 would fit to 1, but 2 came before it


def test_an_unfilled_batch_waits_a_little_for_more():
    batcher, held = Batcher(batch_size=2, wait_s=10), Held()
    held.may_go_on.set()
    first = batcher.submit(held, 1)
    second = batcher.submit(held, 2)
    assert [first.result(5), second.result(5)] == [2, 4]  # full before the wait is over
    assert held.batches == [[1, 2]]
    batcher.close()


def test_a_job_that_is_called_off_is_dropped(batcher, held):
    futures = [batcher.submit(held, item) for item in (1, 2, 3)]
    assert futures[1].cancel()
    assert results(held, [futures[0], futures[2]]) == [2, 6]
    assert held.batches == [[0], [1, 3]]


def test_only_the_guilty_job_of_a_batch_fails(batcher, held):
    def divide(items):
        return [1 / item for item in items]

    futures = [batcher.submit(divide, item) for item in (1, 0, 2)]
    held.may_go_on.set()
    assert futures[0].result(10) == 1
    with pytest.raises(ZeroDivisionError):
        futures[1].result(10)
    assert futures[2].result(10) == 0.5


def test_close_finishes_what_was_handed_in():
    batcher, held = Batcher(batch_size=4), Held()
    futures = [batcher.submit(held, item) for item in range(6)]
    held.may_go_on.set()
    batcher.close()
    assert [future.result(0) for future in futures] == [0, 2, 4, 6, 8, 10]
    with pytest.raises(RuntimeError, match="the batcher is closed"):
        batcher.submit(held, 1)
