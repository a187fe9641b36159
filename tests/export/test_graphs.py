"""The graphs compute what PyTorch computes, and what OpenAI's code computed."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from flowxfer.bundle import DECODE, ENCODE, WEIGHTS, Bundle
from flowxfer.engines.probes import probe, probes
from flowxfer.errors import InputError, ParityError
from flowxfer.export import export_bundle, parity
from flowxfer.glow.importers import import_weights
from flowxfer.glow.pixels import bin_width, from_pixels, to_pixels
from tests.export.graph_runner import GraphRunner
from tests.glow.random_glow import random_glow

ARCHITECTURES = [
    {"coupling": "additive"},
    {"coupling": "affine"},
    {"coupling": "additive", "lu": True, "levels": 3, "depth": 1, "bits": 5},
    {"coupling": "affine", "levels": 1, "depth": 3, "learned_prior": False},
    {"coupling": "additive", "width": 20, "levels": 2, "image_size": 16},
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda fields: "-".join(map(str, fields.values())))
def model(request):
    return random_glow(**request.param).float()


def exported(model, folder, **options):
    return export_bundle(model, folder, name="tiny", licence="none", origin="a test", **options)


@pytest.mark.parametrize("kind", ["eps", "raw"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-5), ("exact-fp32", 1e-4)])
def test_encode_is_pytorch(model, tmp_path, kind, precision, tolerance):
    exported(model, tmp_path / "bundle", latents=kind, precision=precision)
    images = probes(model.config.image_size)
    latents = GraphRunner(tmp_path / "bundle").encode(images)
    with torch.no_grad():
        expected = model.double().encode(from_pixels(torch.from_numpy(images), dtype=torch.float64), kind)
    for z, reference in zip(latents, expected, strict=True):
        assert z.dtype == ("float64" if precision == "exact-fp32" else "float32")
        np.testing.assert_allclose(z, reference, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("kind", ["eps", "raw"])
@pytest.mark.parametrize("precision", ["fp32", "exact-fp32"])
def test_decode_does_the_arithmetic(model, tmp_path, kind, precision):
    exported(model, tmp_path / "bundle", latents=kind, precision=precision)
    runner = GraphRunner(tmp_path / "bundle")
    rng = np.random.default_rng(0)
    z = [rng.standard_normal((3, *shape)) * 0.3 for shape in model.config.latent_shapes()]
    direction = [rng.standard_normal((1, *shape)) * 0.3 for shape in model.config.latent_shapes()]
    alpha = rng.uniform(0, 1, (3, model.config.levels))
    edited = [
        torch.from_numpy(a + alpha[:, i, None, None, None] * d)
        for i, (a, d) in enumerate(zip(z, direction, strict=True))
    ]
    with torch.no_grad():
        expected = to_pixels(model.double().decode(edited, kind)).numpy()
    difference = np.abs(runner.decode(z, direction, alpha).astype(int) - expected)
    assert difference.max() <= 1  # a value on the edge of a bin may fall to either side
    assert (difference > 0).mean() < 0.01


def test_a_sweep_ships_one_latent(tmp_path):
    model = random_glow().float()
    exported(model, tmp_path / "bundle")
    runner = GraphRunner(tmp_path / "bundle")
    z = runner.encode(probes(8))
    direction = [level[1:2] - level[:1] for level in z]
    alphas = np.linspace(0, 1, 5)[:, None]
    swept = runner.decode([level[:1] for level in z], direction, alphas)
    one_by_one = [runner.decode([level[:1] for level in z], direction, alpha[None])[0] for alpha in alphas]
    np.testing.assert_array_equal(swept, one_by_one)
    np.testing.assert_array_equal(swept[-1], runner.decode([level[1:2] for level in z])[0])


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_bin_width_quantises_as_openai_does(tmp_path, bits):
    model = random_glow(bits=bits).float()
    exported(model, tmp_path / "bundle")
    runner = GraphRunner(tmp_path / "bundle")
    width = bin_width(bits, quantize=True)
    images = probes(8)
    np.testing.assert_array_equal(runner.decode(runner.encode(images, width), bin_width=width), images // width * width)
    assert (runner.decode(runner.encode(images)) == images).all()


@pytest.mark.parametrize(("precision", "share_off"), [("fp32", 0), ("exact-fp32", 1e-3)])
def test_graphs_reproduce_openai(oracle, golden, tmp_path, precision, share_off):
    """The exact graphs' grid moves a value by 1e-5, now and then across the edge of a bin."""
    model = import_weights(oracle / "graph_unoptimized.pb")
    exported(model, tmp_path / "bundle", precision=precision)
    runner = GraphRunner(tmp_path / "bundle")
    width = bin_width(model.config.bits, quantize=True)
    for level, z in enumerate(runner.encode(golden["x"], width)):
        np.testing.assert_allclose(z.transpose(0, 2, 3, 1), golden[f"eps_half_{level}"], atol=1e-4)
    for name in ("half", "rand"):
        z = [golden[f"eps_{name}_{level}"].transpose(0, 3, 1, 2) for level in range(model.config.levels)]
        off = np.abs(runner.decode(z, bin_width=width).astype(int) - golden[f"decode_{name}_u8"])
        assert off.max() <= width
        assert (off > 0).mean() <= share_off


def test_one_weights_file_serves_both_directions(tmp_path):
    model = random_glow(width=32).float()
    manifest = exported(model, tmp_path / "bundle")
    graphs = [onnx.load(tmp_path / "bundle" / name, load_external_data=False) for name in (ENCODE, DECODE)]
    external = [
        {t.name: tuple((e.key, e.value) for e in t.external_data) for t in graph.graph.initializer if t.external_data}
        for graph in graphs
    ]
    shared = external[0].keys() & external[1].keys()
    assert all(external[0][name] == external[1][name] for name in shared)
    nets = {name for name in external[0] if "/coupling/" in name}
    assert nets
    assert nets == {name for name in external[1] if "/coupling/" in name}
    locations = {value for graph in external for entry in graph.values() for key, value in entry if key == "location"}
    assert locations == {WEIGHTS}
    parameters = sum(p.numel() for p in model.parameters()) * 4
    assert (tmp_path / "bundle" / WEIGHTS).stat().st_size < 1.6 * parameters
    assert all(graph.opset_import[0].version == manifest.opset for graph in graphs)


def test_nodes_have_speaking_names(tmp_path):
    exported(random_glow().float(), tmp_path / "bundle")
    names = {node.name for node in onnx.load(tmp_path / "bundle" / ENCODE, load_external_data=False).graph.node}
    assert {"level0/step1/coupling/conv1", "level1/step0/linear/z1", "split0/eps", "image/squeeze"} <= names


@pytest.mark.parametrize(("precision", "nodes"), [("fp32", 12), ("exact-fp32", 15)])
def test_a_step_has_no_node_too_many(tmp_path, precision, nodes):
    """The guard against slower graphs that no noisy machine can fool: Round and two Casts are what exactness costs."""
    exported(random_glow(depth=3).float(), tmp_path / "bundle", precision=precision)
    for name in (ENCODE, DECODE):
        graph = onnx.load(tmp_path / "bundle" / name, load_external_data=False).graph
        assert sum(node.name.startswith("level1/step1/") for node in graph.node) == nodes


def test_manifest_says_what_was_measured(tmp_path):
    manifest = exported(random_glow().float(), tmp_path / "bundle")
    assert manifest == Bundle.open(tmp_path / "bundle").manifest
    assert manifest.parity["round_trip_wrong"] == 0
    assert 0 < manifest.parity["latents_error"] < 1e-4
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["opset"] == 18


def test_float16_storage_halves_the_file_and_keeps_the_round_trip(tmp_path):
    model = random_glow(width=64).float()
    exported(model, tmp_path / "full")
    manifest = exported(model, tmp_path / "half", storage="float16")
    full, half = ((tmp_path / name / WEIGHTS).stat().st_size for name in ("full", "half"))
    assert half < 0.6 * full
    assert manifest.parity["latents_error"] > 1e-5  # it is a slightly different model, and says so
    runner, images = GraphRunner(tmp_path / "half"), probes(8)
    np.testing.assert_array_equal(runner.decode(runner.encode(images)), images)


def test_fp32_loses_pixels_where_the_exact_graphs_do_not(tmp_path, monkeypatch):
    """Why exact-fp32 is the default: a model wild enough to be chaotic in float32."""
    model = random_glow(image_size=32, levels=3, depth=12, width=16).float()
    for step in (step for level in range(3) for step in model.steps(level)):
        step.coupling.net.conv3.weight.data.mul_(2)
    model.initialize(from_pixels(torch.from_numpy(np.stack([probe("photograph", 32, seed) for seed in range(8)]))))
    for figure in parity.BOUNDS["float32"]:
        monkeypatch.setitem(parity.BOUNDS["float32"], figure, np.inf)
    images = np.stack([probe(kind, 32, seed) for seed in range(4) for kind in ("noise", "extremes")])
    wrong = {}
    for precision in ("fp32", "exact-fp32"):
        exported(model, tmp_path / precision, precision=precision)
        runner = GraphRunner(tmp_path / precision)
        wrong[precision] = (runner.decode(runner.encode(images)) != images).mean()
    assert wrong["fp32"] > 0
    assert wrong["exact-fp32"] == 0


def test_parity_beyond_its_bound_fails():
    figures = {"latents_error": 0.1, "pixels_error": 0.0, "mean_pixels_error": 0.0}
    with pytest.raises(ParityError, match=r"latents_error of at most 0.002, got 0.1"):
        parity.check(figures, "float32")
    with pytest.raises(ParityError, match="latents_error"):
        parity.check(figures | {"latents_error": float("nan")}, "float32")


def test_parity_sees_a_graph_of_another_model(tmp_path):
    model = random_glow().float()
    manifest = exported(model, tmp_path / "bundle")
    model.steps(0)[0].actnorm.bias.data[0] += 0.1
    with pytest.raises(ParityError):
        parity.check(parity.measure(model, tmp_path / "bundle", manifest), "float32")


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(parity.BOUNDS["float32"], "latents_error", 0.0)
    with pytest.raises(ParityError):
        exported(random_glow().float(), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_way_stays(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="expected a new folder for the bundle, but .*notes exists"):
        exported(random_glow().float(), tmp_path / "notes", overwrite=True)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    first = exported(random_glow(depth=1).float(), tmp_path / "bundle")
    with pytest.raises(InputError, match="exists; remove it or choose another"):
        exported(random_glow().float(), tmp_path / "bundle")
    assert Bundle.open(tmp_path / "bundle").manifest == first
    second = exported(random_glow().float(), tmp_path / "bundle", overwrite=True)
    assert Bundle.open(tmp_path / "bundle").manifest == second != first


def test_storage_is_checked(tmp_path):
    with pytest.raises(InputError, match="expected storage of float32 or float16, got 'int8'"):
        exported(random_glow().float(), tmp_path / "bundle", storage="int8")


def test_batch_is_dynamic(tmp_path):
    exported(random_glow().float(), tmp_path / "bundle")
    session = onnxruntime.InferenceSession(tmp_path / "bundle" / ENCODE)
    assert session.get_inputs()[0].shape == ["batch", 8, 8, 3]
    assert session.get_outputs()[0].shape == ["batch", 6, 4, 4]
