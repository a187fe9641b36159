"""A bundle's graphs are those of our export, or it is refused on opening, with every ONNX Runtime."""

from __future__ import annotations

import shutil
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from flowxfer import Transferer
from flowxfer.bundle import COMBINE, DECODE, ENCODE, SAMPLE, WEIGHTS, Bundle
from flowxfer.bundle.graph_shapes import Kind, infer
from flowxfer.bundle.onnx_file import LARGEST, parse_graph, read_graph
from flowxfer.errors import BundleError
from flowxfer.export import export_bundle, to_tensorrt
from flowxfer.export.bundling import write_graphs
from flowxfer.export.folding import FoldedGlow
from flowxfer.export.graphs import GlowGraphs
from flowxfer.export.weights_file import WeightsFile
from tests.bundle.test_bundle import rewrite
from tests.bundle.test_protobuf import written
from tests.glow.random_glow import random_glow
from tests.hardening.mutation import mutated


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def change(bundle, graph, edit):
    """Edit a graph, and the hashes with it."""
    model = onnx.load(bundle / graph, load_external_data=False)
    edit(model)
    (bundle / graph).write_bytes(model.SerializeToString())
    rewrite(bundle)


def refused(bundle, said):
    with pytest.raises(BundleError, match=f"expected in .* a graph that flowxfer exported, .*{said}"):
        Bundle.open(bundle)


# ---- ours are taken


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("latents", ["eps", "raw"])
@pytest.mark.parametrize(
    ("precision", "storage"),
    [("exact-fp32", "float32"), ("exact-fp32", "float16"), ("exact-fp16", "float32"), ("fp32", "float32")],
)
def test_what_export_writes_is_taken(tmp_path, coupling, latents, precision, storage):
    model = random_glow(image_size=16, levels=2, depth=1, width=8, coupling=coupling).float()
    options = {"name": "a", "licence": "none", "origin": "a test", "latents": latents, "precision": precision}
    export_bundle(model, tmp_path / "bundle", storage=storage, **options)
    assert Bundle.open(tmp_path / "bundle").manifest.precision == precision


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_what_export_writes_for_tensorrt_is_taken(tmp_path, precision):
    model = random_glow(image_size=16, levels=2, depth=1, width=8).float()
    to_tensorrt(model, tmp_path / "b", name="a", licence="none", origin="a test", latents="raw", precision=precision)
    assert Bundle.open(tmp_path / "b").manifest.precision == precision


def test_there_is_room_for_the_largest_graph(tmp_path):
    """Of OpenAI's architecture, but for the width, on which no graph's size depends."""
    model = random_glow(image_size=256, levels=6, depth=32, width=2, coupling="affine").float()
    with WeightsFile(tmp_path / WEIGHTS) as weights:
        write_graphs(GlowGraphs(FoldedGlow(model), weights, precision="exact-fp16", storage="float16"), tmp_path, "raw")
    assert max((tmp_path / name).stat().st_size for name in (ENCODE, DECODE, SAMPLE)) < LARGEST / 2


@pytest.mark.parametrize("graph", [ENCODE, DECODE, COMBINE])
def test_shapes_are_those_that_onnx_infers(tiny_bundle, graph):
    model = onnx.load(tiny_bundle / graph)
    sizes = {"batch": 3, "z_batch": 3, "direction_batch": 1, "x_batch": 4, "y_batch": 5, "alphas": 1}
    inputs = {}
    for value in model.graph.input:
        dims = [dim.dim_value or sizes[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        value.CopyFrom(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, dims))
        inputs[value.name] = _kind(value)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    expected = {value.name: _kind(value) for value in inferred.value_info}
    kinds = infer(read_graph(tiny_bundle / graph), inputs, largest=10**9, together=10**9)
    assert len(expected) > 10
    assert {name: kinds[name] for name in expected} == expected


def _kind(value):
    of = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(of.elem_type)).name
    return Kind(dtype, tuple(dim.dim_value for dim in of.shape.dim))


# ---- what is hidden


def field(number, content, tag=None):
    content = content.encode() if isinstance(content, str) else content
    return (tag or written(number << 3 | 2)) + written(len(content)) + content


def hidden(number):
    """The tag of a field, with a bit above the 32nd, which some readers drop."""
    return written(number << 3 | 2 | 1 << 32)


def entries(location, tag=None):
    pairs = {"location": location, "offset": "0", "length": "4"}
    return b"".join(field(13, field(1, key) + field(2, value), tag) for key, value in pairs.items())


TENSOR = b"\x08\x01\x10\x01" + field(8, "spy") + b"\x70\x01"  # dims 1, float, its name, EXTERNAL


PLACES = {
    "initializer": lambda tensor: field(5, tensor),
    "attribute": lambda tensor: field(1, field(4, "Constant") + field(5, field(5, tensor) + b"\xa0\x01\x04")),
    "subgraph": lambda tensor: field(1, field(4, "If") + field(5, field(6, field(5, tensor)) + b"\xa0\x01\x05")),
    "sparse": lambda tensor: field(15, field(1, tensor)),
}


@pytest.fixture(scope="module")
def parts(tiny_bundle):
    """The graph of a small sound file, and the rest of it."""
    model = onnx.load(tiny_bundle / COMBINE)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    return graph, model.SerializeToString()


LOCATIONS = ["../secret", "/etc/passwd", "manifest.json", "weights.bin\0", "./weights.bin", ""]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tag", [None, hidden(13), b"\xea\x00"], ids=["plain", "hidden", "overlong"])
@pytest.mark.parametrize("joined", [False, True], ids=["one graph", "a second graph"])
def test_no_other_file_is_named(bundle, parts, location, place, tag, joined):
    graph, rest = parts
    strange = PLACES[place](TENSOR + entries(location, tag))
    graphs = field(7, graph) + field(7, strange) if joined else field(7, graph + strange)
    (bundle / COMBINE).write_bytes(rest + graphs)
    rewrite(bundle)
    refused(bundle, "")


@pytest.mark.parametrize("number", set(range(1, 30)) - {7, 8})
@pytest.mark.parametrize("tag", [lambda n: None, hidden], ids=["plain", "hidden"])
def test_no_other_field_of_a_model(parts, number, tag):
    graph, rest = parts
    parse_graph(rest + field(7, graph))
    with pytest.raises(ValueError, match="not known here|may be there once|not an integer|which is none|is a number"):
        parse_graph(rest + field(7, graph) + field(number, b"", tag(number)))


@pytest.mark.parametrize("number", set(range(2, 30)) - {5, 11, 12})
def test_no_other_field_of_a_graph(parts, number):
    graph, rest = parts
    with pytest.raises(ValueError, match="not known here|may be there once"):
        parse_graph(rest + field(7, graph + field(number, b"")))


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("location", WEIGHTS), ("offset", "0")], "does not lie at one location, offset and length"),
        ([("location", WEIGHTS), ("location", "x"), ("offset", "0"), ("length", "4")], "does not lie at one location"),
        ([("location", WEIGHTS), ("offset", "0"), ("length", "4"), ("checksum", "0")], "does not lie at one location"),
        ([("location", WEIGHTS), ("offset", "-4"), ("length", "4")], "no whole number"),
        ([("location", WEIGHTS), ("offset", "00"), ("length", "4")], "no whole number"),
        ([("location", WEIGHTS), ("offset", "0"), ("length", "٤")], "no whole number"),
        ([("location", WEIGHTS), ("offset", "0"), ("length", "8")], "has 8 bytes, not 4"),
        ([("location", WEIGHTS), ("offset", "999999999"), ("length", "4")], "lies behind the end of weights.bin"),
        ([("location", "manifest.json"), ("offset", "0"), ("length", "4")], "and not in weights.bin"),
    ],
)
def test_external_data_lie_in_the_weights_whole(bundle, pairs, said):
    def edit(model):
        tensor = TensorProto(name="spy", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
        for key, value in pairs:
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)

    change(bundle, ENCODE, edit)
    refused(bundle, said)


def test_tensors_may_not_share_bytes_without_end(bundle):
    size = (bundle / WEIGHTS).stat().st_size // 4

    def edit(model):
        tensor = TensorProto(name="spy", data_type=1, dims=[size], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", WEIGHTS), ("offset", "0"), ("length", str(4 * size))):
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)

    change(bundle, ENCODE, edit)
    refused(bundle, "its tensors have more bytes than weights.bin")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_no_numbers(bundle, number):
    tensor = next(t for t in read_graph(bundle / ENCODE).tensors.values() if t.dtype == "float32" and t.nbytes > 9)
    with (bundle / WEIGHTS).open("r+b") as file:
        file.seek(tensor.data.offset)
        file.write(np.float32(number).tobytes())
    rewrite(bundle)
    refused(bundle, "is not finite")


# ---- what does not fit


def _node(graph, op):
    return next(node for node in graph.node if node.op_type == op)


def _swap(values):
    first, second = values[0].name, values[1].name
    values[0].name, values[1].name = second, first


def _swap_made(nodes):
    first, second = nodes[0].output[0], nodes[1].output[0]
    nodes[0].output[0], nodes[1].output[0] = second, first


def _dims(value):
    return value.type.tensor_type.shape.dim


def _append(model, node, *constants):
    """Put a node before the first, which nothing needs."""
    for name, array in constants:
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.node.insert(0, node)


def _grow(op, *constants, **attributes):
    def edit(model):
        names = [f"c{index}" for index in range(len(constants))]
        node = helper.make_node(op, ["z0", *names], ["grown"], **attributes)
        _append(model, node, *zip(names, constants, strict=True))

    return edit


def _doubled(model):
    for index in range(30):
        name = f"d{index - 1}" if index else "z0"
        model.graph.node.insert(index, helper.make_node("Concat", [name, name], [f"d{index}"], axis=1))


def _many(model):
    names = []
    for index in range(200):
        names.append(f"m{index}")
        _append(model, helper.make_node("Concat", ["z0"] * 16, [names[-1]], axis=1))
    model.graph.node.insert(200, helper.make_node("Concat", names, ["all"], axis=1))


EDITS = {
    "swapped inputs": (DECODE, lambda model: _swap(model.graph.input), "expected the inputs or outputs z0, z1, z2"),
    "swapped outputs": (ENCODE, lambda model: _swap(model.graph.output), "expected the inputs or outputs z0, z1, z2"),
    "a missing input": (DECODE, lambda model: model.graph.input.pop(), "expected the inputs or outputs"),
    "a missing output": (ENCODE, lambda model: model.graph.output.pop(), "expected the inputs or outputs"),
    "an output more": (
        ENCODE,
        lambda model: model.graph.output.append(model.graph.input[0]),
        "expected the inputs or outputs",
    ),
    "another shape": (ENCODE, lambda model: setattr(_dims(model.graph.output[0])[1], "dim_value", 7), "z0 is float64"),
    "another rank": (ENCODE, lambda model: _dims(model.graph.output[0]).pop(), "z0 is float64"),
    "a fixed batch": (ENCODE, lambda model: setattr(_dims(model.graph.input[0])[0], "dim_value", 3), "image is uint8"),
    "another type": (
        ENCODE,
        lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", 1),
        "z0 is float32",
    ),
    "outputs made of each other": (
        ENCODE,
        lambda model: _swap_made([node for node in model.graph.node if node.op_type == "Identity"]),
        r"the output z0 is float64 \(3, 12, 8, 8\), and not float64 \(3, 6, 16, 16\)",
    ),
    "an unknown operator": (DECODE, _grow("Expand", np.array([9, 9])), "the operator 'Expand' is not known here"),
    "a dynamic shape": (DECODE, _grow("Shape"), "the operator 'Shape' is not known here"),
    "a domain": (ENCODE, lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"), "field 7 is not known"),
    "operators of another domain": (
        ENCODE,
        lambda model: model.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "other operators than ONNX's own",
    ),
    "another opset": (ENCODE, lambda model: setattr(model.opset_import[0], "version", 21), "opset 21"),
    "another IR": (ENCODE, lambda model: setattr(model, "ir_version", 13), "IR version 13"),
    "an unknown attribute": (
        DECODE,
        lambda model: _node(model.graph, "Conv").attribute.append(helper.make_attribute("strides", [1, 1])),
        "the attribute 'strides' of Conv is not known here",
    ),
    "text as attribute": (
        DECODE,
        lambda model: _node(model.graph, "Conv").attribute.append(helper.make_attribute("auto_pad", "VALID")),
        "the attribute 'auto_pad' is of the type 3",
    ),
    "a value of nowhere": (DECODE, lambda model: model.graph.node[3].input.__setitem__(0, "nowhere"), "'nowhere'"),
    "two values of a name": (
        DECODE,
        lambda model: model.graph.node.append(model.graph.node[0]),
        "two values have the name",
    ),
    "two initialisers of a name": (
        DECODE,
        lambda model: model.graph.initializer.append(model.graph.initializer[0]),
        "two initialisers have one name",
    ),
    "text": (
        DECODE,
        lambda model: model.graph.initializer.append(helper.make_tensor("t", 8, [1], ["a"])),
        "'t' has the data type 8",
    ),
    "enormous padding": (
        DECODE,
        _grow("Pad", np.array([0, 0, 0, 0, 0, 10**9, 0, 0]), np.array(0.0)),
        "'grown' takes more memory",
    ),
    "an enormous kernel's padding": (DECODE, _grow("Conv", np.zeros((1, 6, 1, 1)), pads=[10**6] * 4), "more memory"),
    "an outer product": (
        DECODE,
        _grow("Mul", np.zeros((4000, 1, 1, 1, 1))),
        "'grown' takes more memory than a model of this size needs",
    ),
    "doubling": (DECODE, _doubled, "takes more memory"),
    "much at a time": (DECODE, _many, "takes more memory"),
    "constants alone": (
        DECODE,
        lambda model: _append(model, helper.make_node("Add", ["c", "c"], ["d"]), ("c", np.zeros(3))),
        "Add takes constants alone",
    ),
    "a reshape that does not fit": (DECODE, _grow("Reshape", np.array([0, 5, 5])), "Reshape cannot make 'grown'"),
    "a reshape that counts samples": (DECODE, _grow("Reshape", np.array([3, 6, 16, 16])), "Reshape cannot make"),
    "a reshape that guesses": (DECODE, _grow("Reshape", np.array([0, -1])), "Reshape cannot make 'grown'"),
    "types that do not fit": (DECODE, _grow("Add", np.zeros(1, np.float32)), "Add cannot make 'grown'"),
    "sizes that do not fit": (DECODE, _grow("Add", np.zeros(5)), "Add cannot make 'grown' of what it takes"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_what_is_not_ours_is_refused(bundle, kind):
    graph, edit, said = EDITS[kind]
    change(bundle, graph, edit)
    refused(bundle, said)


def test_a_graph_of_another_direction(bundle):
    shutil.copy(bundle / DECODE, bundle / ENCODE)
    rewrite(bundle)
    refused(bundle, "expected the inputs or outputs image, bin_width, got 'z0'")


def test_an_enormous_graph(bundle):
    with (bundle / ENCODE).open("r+b") as file:
        file.truncate(LARGEST + 1)
    rewrite(bundle)
    refused(bundle, "it has more than")


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_graph_or_an_error(data):
    with pytest.raises(ValueError, match="."):
        parse_graph(data)


# ---- what PyTorch takes by name


@pytest.mark.parametrize("name", ["top/mean", "encode/level0/step0/linear/z1", "level1/step0/coupling/conv2/weight"])
@pytest.mark.parametrize("other", ["missing", "exchanged"])
def test_arrays_of_other_names_are_refused_by_pytorch(bundle, name, other):
    """A graph says itself what it computes with; PyTorch knows only the names."""
    names = {name: "strange"}
    if other == "exchanged":
        names = {name: "split0/conv/bias", "split0/conv/bias": name}

    def edit(model):
        for each in [*model.graph.initializer]:
            each.name = names.get(each.name, each.name)
        for node in model.graph.node:
            for index, old in enumerate(node.input):
                node.input[index] = names.get(old, old)

    change(bundle, ENCODE, edit)
    with pytest.raises(
        BundleError,
        match=f"expected ({name}|split0/conv/bias) of .* in .*, got (none|one of .*); export the model again",
    ):
        Transferer(bundle, engine="torch")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
def test_weights_too_wild_for_any_latents(tmp_path, engine):
    model = random_glow(image_size=16, levels=2, depth=2, width=8).float()
    export_bundle(model, tmp_path / "bundle", name="a", licence="none", origin="a test", precision="exact-fp32")
    bundle = tmp_path / "bundle"
    tensors = read_graph(bundle / ENCODE).tensors
    with (bundle / WEIGHTS).open("r+b") as file:
        for name, tensor in tensors.items():
            if name.endswith(("conv2/weight", "conv3/flipped")):
                file.seek(tensor.data.offset)
                file.write(np.full(tensor.shape, 1e38, "f4").tobytes())
    rewrite(bundle)
    face = np.full((16, 16, 3), 9, np.uint8)
    with pytest.raises(BundleError, match="expected finite latents of these faces, got others: the model's weights"):
        Transferer(bundle, engine=engine).encode(face)


# ---- two readers see the same


def _as_onnx_reads_it(data):
    """What :func:`parse_graph` gives, by Google's reader."""
    model = onnx.load_from_string(data)
    tensors = {
        t.name: (
            tuple(t.dims),
            np.dtype(helper.tensor_dtype_to_np_dtype(t.data_type)).name,
            {entry.key: entry.value for entry in t.external_data} or t.raw_data,
        )
        for t in model.graph.initializer
    }
    nodes = [(n.op_type, (*n.input,), (*n.output,), {a.name: _plain(a) for a in n.attribute}) for n in model.graph.node]
    values = [[(v.name, *_declared(v)) for v in of] for of in (model.graph.input, model.graph.output)]
    return model.ir_version, model.opset_import[0].version, tensors, nodes, values


def _plain(attribute):
    value = helper.get_attribute_value(attribute)
    return tuple(value) if isinstance(value, list) else value


def _declared(value):
    of = value.type.tensor_type
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in of.shape.dim)
    return np.dtype(helper.tensor_dtype_to_np_dtype(of.elem_type)).name, dims


def _as_we_read_it(data):
    graph = parse_graph(data)
    tensors = {
        name: (t.shape, t.dtype, bytes(t.data) if isinstance(t.data, memoryview) else _entries(t.data))
        for name, t in graph.tensors.items()
    }
    nodes = [(node.op, node.inputs, node.outputs, dict(node.attributes)) for node in graph.nodes]
    values = [[(value.name, value.dtype, value.shape) for value in of] for of in (graph.inputs, graph.outputs)]
    return graph.ir_version, graph.opset, tensors, nodes, values


def _entries(external):
    return {"location": external.location, "offset": str(external.offset), "length": str(external.length)}


@pytest.mark.parametrize("name", [ENCODE, DECODE, COMBINE])
def test_two_readers_see_the_same_graph(tiny_bundle, name):
    data = (tiny_bundle / name).read_bytes()
    assert _as_we_read_it(data) == _as_onnx_reads_it(data)


def test_two_readers_see_the_same_in_what_is_damaged(tiny_bundle):
    random, taken = Random(5), 0
    sound = [(tiny_bundle / name).read_bytes() for name in (COMBINE, ENCODE)]
    for _ in range(3000):
        data = mutated(sound, random)
        try:
            ours = _as_we_read_it(data)
        except ValueError:
            continue
        taken += data not in sound
        assert ours == _as_onnx_reads_it(data)
    assert taken > 20  # such as those where only a name is another
