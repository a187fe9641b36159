"""A damaged file raises WeightsError, or holds other numbers; it raises nothing else and takes no memory."""

from __future__ import annotations

import contextlib
import resource

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowxfer.directions import openai_latents
from flowxfer.errors import InputError, LatentsError, WeightsError
from flowxfer.glow import save
from flowxfer.glow.importers import import_weights
from tests import reference
from tests.glow.peers import chaiyujin_state, rosinality_state
from tests.glow.random_glow import random_glow
from tests.glow.tensorflow_files import folded, graph, table, write_checkpoint

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MEBIBYTE = 2**20


@st.composite
def damage(draw):
    """A function that flips, overwrites, inserts, removes or cuts a few bytes, mostly near the start or the end."""
    edits = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "set", "insert", "remove", "cut"]),
                st.floats(0, 1) | st.floats(0, 0.01) | st.floats(0.99, 1),
                st.binary(min_size=1, max_size=9),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def apply(content):
        content = bytearray(content)
        for kind, place, value in edits:
            at = int(place * len(content))
            if kind == "flip" and at < len(content):
                content[at] ^= value[0] or 1
            elif kind == "set":
                content[at : at + len(value)] = value
            elif kind == "insert":
                content[at:at] = value
            elif kind == "remove":
                del content[at : at + len(value)]
            elif kind == "cut":
                del content[max(at, 1) :]
        return bytes(content)

    return apply


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def small_memory():
    """Anything that asks for a gigabyte more than there is now fails, as a MemoryError or torch's RuntimeError."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 1024 * MEBIBYTE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def survives(path, content):
    path.write_bytes(content)
    try:
        import_weights(path, image_size=8, bits=5)
    except WeightsError:
        pass
    except InputError as error:
        raise AssertionError(f"{error!r} although everything was given") from error


def variables():
    return reference.random_variables(2, 1, 3, "affine", seed=0)


@FUZZ
@given(damage())
def test_damaged_graphs(folder, small_memory, edit):
    survives(folder / "graph.pb", edit(graph(variables())))
    survives(folder / "folded.pb", edit(graph(folded(variables()))))


@FUZZ
@given(damage())
def test_damaged_checkpoints(folder, small_memory, edit):
    prefix = write_checkpoint(folder / "checkpoint", variables())
    for suffix in (".index", ".data-00000-of-00001"):
        path = prefix.with_name(prefix.name + suffix)
        intact = path.read_bytes()
        survives(path, edit(intact))
        path.write_bytes(intact)


@FUZZ
@given(damage(), damage())
def test_checkpoints_with_right_checksums_and_wrong_entries(folder, small_memory, edit, edit_key):
    """The checksums would hide the parser of the entries: write them anew around damaged entries."""
    prefix = write_checkpoint(folder / "entries", {"model/0/0/f1/l_1/W": np.zeros((3, 3, 7, 3), np.float32)})
    entry = b"\x08\x01\x12\x10\x12\x02\x08\x03\x12\x02\x08\x03\x12\x02\x08\x07\x12\x02\x08\x03\x28\xf4\x05\x35\0\0\0\0"
    header = b"\x08\x01\x1a\x02\x08\x01"
    index = table([(b"", edit_key(header)), (edit_key(b"model/0/0/f1/l_1/W"), edit(entry))])
    survives(prefix.with_name(prefix.name + ".index"), index)


@FUZZ
@given(damage())
def test_damaged_safetensors(folder, small_memory, edit):
    save(random_glow(levels=1, depth=1, width=3).float(), folder / "whole.safetensors")
    survives(folder / "part.safetensors", edit((folder / "whole.safetensors").read_bytes()))


@FUZZ
@given(damage(), st.booleans(), st.booleans())
def test_damaged_pytorch_files(folder, small_memory, edit, zipped, ours):
    if ours:
        state = rosinality_state(1, 1, 3, affine=True, lu=True)
    else:
        state = chaiyujin_state(1, 1, 3, affine=True, lu=True, learn_top=True)
    torch.save(state, folder / "whole.pt", _use_new_zipfile_serialization=zipped)
    survives(folder / "part.pt", edit((folder / "whole.pt").read_bytes()))


@FUZZ
@given(st.binary(max_size=200), st.sampled_from([b"", b"\n", b"PK\x03\x04", b"\x80\x02", b"\0\0\0\0\0\0\0\0{"]))
def test_arbitrary_bytes(folder, small_memory, content, start):
    survives(folder / "bytes", start + content)


@FUZZ
@given(damage())
def test_damaged_latents(folder, small_memory, edit):
    np.save(folder / "whole.npy", np.zeros((4, 48), np.float32))
    (folder / "part.npy").write_bytes(edit((folder / "whole.npy").read_bytes()))
    with contextlib.suppress(LatentsError):
        openai_latents.load(folder / "part.npy", [(6, 2, 2), (24, 1, 1)])
