"""Batches on a processor: whatever the lanes, the results are those of one thread."""

from __future__ import annotations

import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.bundle import ENCODE
from flowxfer.engines.batching import cores
from flowxfer.engines.ort import session
from flowxfer.engines.ort.providers import CPU, activate
from flowxfer.engines.ort.session_pool import Bound, SessionPool, joined
from flowxfer.engines.probes import probe


@pytest.fixture
def faces():
    return np.stack([probe("photograph", 32, seed) for seed in range(7)])


class Counting:
    """Notes the samples of each run of a session, and fails where it is told to."""

    def __init__(self, session, fails=lambda batch: False):
        self.session, self.fails, self.batches = session, fails, []

    def run(self, outputs, feed):
        self.note(feed)
        return self.session.run(outputs, feed)

    def note(self, feed):
        self.batches.append(len(feed["image"]))
        if self.fails(len(feed["image"])):
            raise RuntimeError("Failed to allocate memory for requested buffer")


class Together(Counting):
    """The same as a graph for all threads."""

    def run(self, feed, outputs, device):
        self.note(feed)
        return Bound(self.session).run(feed, outputs, device)


def lanes_of(bundle, count, **options):
    session = activate(bundle / ENCODE, [CPU], explicit=True, threads=1)
    lane, together = Counting(session, **options), Together(session)
    return SessionPool(together, lambda: lane, count), lane, together


def feed_of(images):
    return {"image": images, "bin_width": np.array(1, np.float32)}


@pytest.mark.parametrize(
    ("count", "batch", "shares"), [(2, 2, [1, 1]), (2, 7, [3, 4]), (3, 7, [2, 2, 3]), (7, 7, [1] * 7)]
)
def test_a_batch_is_shared_out_evenly_and_comes_back_in_order(tiny_bundle, faces, count, batch, shares):
    lanes, lane, together = lanes_of(tiny_bundle, count)
    (z0,) = lanes.run(feed_of(faces[:batch]), ["z0"], "cpu")
    assert sorted(lane.batches) == shares
    assert together.batches == []
    expected = np.concatenate([lane.session.run(["z0"], feed_of(face[None]))[0] for face in faces[:batch]])
    np.testing.assert_allclose(z0.numpy(), expected, rtol=0, atol=1e-6)


def test_fewer_images_than_lanes_run_together_and_open_no_lane(tiny_bundle, faces):
    lanes, lane, together = lanes_of(tiny_bundle, 4)
    lanes.run(feed_of(faces[:3]), ["z0"], "cpu")
    assert (lane.batches, together.batches) == ([], [3])


def test_an_error_in_one_lane_is_the_error_of_the_call(tiny_bundle, faces):
    lanes, lane, _ = lanes_of(tiny_bundle, 2, fails=lambda batch: batch == 4)
    with pytest.raises(RuntimeError, match="Failed to allocate"):
        lanes.run(feed_of(faces), ["z0"], "cpu")
    lane.fails = lambda batch: False
    assert lanes.run(feed_of(faces), ["z0"], "cpu")[0].shape()[0] == len(faces)


@pytest.mark.parametrize("threads", [2, 3])
def test_all_calls_give_the_pictures_of_one_thread(tiny_bundle, faces, threads):
    one, many = Transferer(tiny_bundle, threads=1), Transferer(tiny_bundle, threads=threads)
    for call in (
        lambda t: t.decode(t.encode(faces)),
        lambda t: t.transfer(faces, faces[1], faces[2:5], 0.4),
        lambda t: t.transfer(faces, faces[::-1], faces[2], 0.9),
        lambda t: t.sweep(faces[0], faces[1], faces[2]),
        lambda t: t.mix(faces[:3], faces[3:6]),
        lambda t: t.sample(5, seed=1),
    ):
        np.testing.assert_array_equal(call(many), call(one))


def test_latents_of_lanes_decode_on_one_thread(tiny_bundle, faces):
    one, many = Transferer(tiny_bundle, threads=1), Transferer(tiny_bundle, threads=2)
    np.testing.assert_array_equal(one.decode(many.encode(faces)), faces)
    np.testing.assert_array_equal(many.decode(one.encode(faces)), faces)


def test_a_share_that_does_not_fit_the_memory_halves_the_batch(tiny_bundle, faces, caplog):
    transferer = Transferer(tiny_bundle, threads=2)
    lanes, _, together = lanes_of(tiny_bundle, 2, fails=lambda batch: batch > 1)
    transferer._session._encode = lanes
    expected = Transferer(tiny_bundle, threads=1).encode(faces).levels
    for a, b in zip(transferer.encode(faces).levels, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert "a batch of 7 does not fit the memory; going on with 3" in caplog.text
    assert together.batches == [1] * 7


def test_one_thread_or_a_large_model_has_no_lanes(tiny_bundle, monkeypatch):
    assert not isinstance(Transferer(tiny_bundle, threads=1)._session._encode, SessionPool)
    assert isinstance(Transferer(tiny_bundle, threads=2)._session._encode, SessionPool)
    monkeypatch.setattr(session, "LARGEST", 16)
    assert not isinstance(Transferer(tiny_bundle, threads=2)._session._encode, SessionPool)
    assert cores() >= 1


def test_what_is_read_from_a_joined_value_outlives_it():
    """Memory that nobody holds any more would go to the next arrays of the same size."""
    parts = [np.full((4, 1000), 7, np.uint8), np.full((3, 1000), 7, np.uint8)]
    pictures = joined(parts).numpy()
    later = [np.zeros((7, 1000), np.uint8) for _ in range(20)]
    assert (pictures == 7).all()
    assert len(later) == 20
