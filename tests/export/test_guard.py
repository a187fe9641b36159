"""A guard against slower graphs that no noisy machine can fool: it counts, and never looks at a clock.

Nodes as written, nodes as ONNX Runtime optimises them for a CPU with AVX-512 or without, bytes on disk. What a call
copies is held in ``tests/engines/ort/test_session.py``, multiplications in ``tests/benchmarks``.
"""

from __future__ import annotations

import re
from collections import Counter

import onnx
import onnxruntime
import pytest

from flowxfer.bundle import COMBINE, DECODE, ENCODE, WEIGHTS
from flowxfer.export import export_bundle
from flowxfer.glow import GlowConfig
from tests.glow.random_glow import random_glow

DEPTH, LEVELS, WIDTH = 3, 3, 32

# Of one step of an additive coupling: three convolutions, two products and what joins them.
CORE = Counter(MatMul=2, Reshape=2, Relu=2, Concat=1)
EXACT = Counter(Round=1, Cast=2)
CONV, TRANSPOSED = Counter(Conv=3), Counter(Conv=2, ConvTranspose=1)


@pytest.fixture(scope="module", params=["fp32", "exact-fp32"])
def precision(request):
    return request.param


@pytest.fixture(scope="module")
def folder(precision, tmp_path_factory):
    model = random_glow(image_size=32, levels=LEVELS, depth=DEPTH, width=WIDTH).float()
    path = tmp_path_factory.mktemp("guard") / "bundle"
    export_bundle(model, path, name="guard", licence="none", origin="a test", precision=precision, latents="raw")
    return path


def kinds(graph, prefix=""):
    return Counter(node.op_type for node in graph.node if node.name.startswith(prefix))


def graph(path):
    return onnx.load(path, load_external_data=False).graph


@pytest.mark.parametrize(("name", "additions"), [(ENCODE, Counter(Add=2)), (DECODE, Counter(Add=1, Sub=1))])
@pytest.mark.parametrize(("level", "convolutions"), [(0, TRANSPOSED), (1, TRANSPOSED), (2, CONV)])
def test_nodes_of_a_step_by_type(folder, precision, name, additions, level, convolutions):
    expected = CORE + convolutions + additions + (EXACT if precision == "exact-fp32" else Counter())
    assert kinds(graph(folder / name), f"level{level}/step1/") == expected


@pytest.mark.parametrize("name", [ENCODE, DECODE])
def test_nothing_but_steps_grows_with_the_depth(folder, name, tmp_path, precision):
    deeper = random_glow(image_size=32, levels=LEVELS, depth=DEPTH + 1, width=WIDTH).float()
    export_bundle(deeper, tmp_path / "b", name="b", licence="", origin="", precision=precision, latents="raw")
    step = 12 if precision == "fp32" else 15
    assert len(graph(tmp_path / "b" / name).node) - len(graph(folder / name).node) == LEVELS * step


@pytest.mark.parametrize("name", [ENCODE, DECODE])
def test_nodes_of_a_graph_beside_its_steps(folder, name):
    """Transposes squeeze and unsqueeze: one for each level. Pads append the ones, once for a graph's entry."""
    found = Counter(node.op_type for node in graph(folder / name).node if "/step" not in node.name)
    assert found["Transpose"] == LEVELS
    assert found["Pad"] == 1
    assert found["Conv"] == found["ConvTranspose"] == 0  # raw latents have no priors
    assert found["Slice"] + found["Split"] <= LEVELS + 1
    assert sum(found.values()) <= 70


def optimised(path, tmp_path):
    """What ONNX Runtime makes of a graph."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / path.name)
    options.log_severity_level = 4  # it warns that the result is for this CPU alone, which is all that is wanted
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return graph(tmp_path / path.name)


@pytest.mark.parametrize("name", [ENCODE, DECODE])
def test_onnx_runtime_leaves_no_step_with_a_detour(folder, precision, name, tmp_path):
    """ReLUs are fused into their convolutions; a net pays for its blocked layout where it leaves it.

    Where it enters, it pays only above the level at which z1 and its 1 fill a block, of 8 channels or 16.
    """
    found = kinds(optimised(folder / name, tmp_path))
    steps = LEVELS * DEPTH
    assert found["Relu"] == 0
    assert found["Transpose"] == LEVELS
    assert found["Pad"] == 1
    assert found["ReorderInput"] <= (LEVELS - 1) * DEPTH
    assert found["ReorderOutput"] <= steps
    assert found["Conv"] + found["FusedConv"] + found["ConvTranspose"] == 3 * steps
    assert found["Cast"] <= (2 * steps + 4 if precision == "exact-fp32" else 4)
    detours = found["ReorderInput"] + found["ReorderOutput"]
    assert sum(found.values()) - detours <= len(graph(folder / name).node) - 2 * steps


def test_sizes(folder, precision):
    """A graph is names and small constants; weights lie in their file once, and matrices once for each direction."""
    config = GlowConfig(32, LEVELS, DEPTH, WIDTH, "additive")
    nets = sum(
        DEPTH * (9 * (c // 2 + 1) * WIDTH + WIDTH * WIDTH + 2 * WIDTH + 9 * WIDTH * (c // 2) + c // 2 * (16 >> i) ** 2)
        for i, c in enumerate(config.level_channels)
    )
    matrices = sum(DEPTH * 2 * (c + 4) ** 2 for c in config.level_channels)
    top = 2 * 48 * 16
    size = 8 if precision == "exact-fp32" else 4
    assert (folder / WEIGHTS).stat().st_size <= 4 * nets + size * (matrices + top) + 64 * 12 * LEVELS * DEPTH
    per_step = re.compile("level[0-9]+/step[0-9]+/")
    for name in (ENCODE, DECODE):
        steps = sum(bool(per_step.match(node.name)) for node in graph(folder / name).node)
        assert (folder / name).stat().st_size < 400 * steps
    assert (folder / COMBINE).stat().st_size < 8000
