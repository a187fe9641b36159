"""Frozen graphs: constants in every encoding, folded graphs, and what is not understood."""

from __future__ import annotations

import numpy as np
import pytest

from flowxfer.errors import InputError, WeightsError
from flowxfer.glow.importers import import_weights, openai_graph
from flowxfer.glow.importers.tensorflow_graph import read_graph
from tests import reference
from tests.glow.tensorflow_files import attribute, const, data, folded, graph, node, number, placeholder


@pytest.fixture(scope="module")
def variables():
    return reference.random_variables(2, 1, 5, "affine", seed=0)


def written(tmp_path, content):
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    return path


# ---------------------------------------------------------------- constants


def test_constants_in_every_encoding(tmp_path):
    three = np.array([1, 2, 3], np.float32)
    content = b"".join(
        [
            const("content", three),
            const("packed", three, data(5, three.tobytes())),
            const("single", three, b"".join(b"\x2d" + value.tobytes() for value in three)),
            const("repeated", np.array([1, 2, 2, 2], np.float32), data(5, three[:2].tobytes())),
            const("double", np.array([[1.5]]), data(6, np.array([1.5]).tobytes())),
            const("scalar", np.float32(3)),
            const("empty", np.zeros((0, 2), np.float32)),
            const("integer", np.array([1], np.int32)),
        ]
    )
    constants = read_graph(written(tmp_path, content)).constants
    for name in ("content", "packed", "single"):
        np.testing.assert_array_equal(constants[name], three, strict=True)
    assert constants["repeated"].tolist() == [1, 2, 2, 2]
    assert constants["double"].tolist() == [[1.5]]
    assert constants["scalar"].shape == ()
    assert constants["empty"].shape == (0, 2)
    assert "integer" not in constants


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (number(1, 14) + data(2, b""), "expected float32, float64 or float16, got TensorFlow's type 14"),
        (number(1, 1) + data(2, number(3, 1)), "a shape has no known rank"),
        (number(1, 1) + data(2, data(2, number(1, 2**40))) + data(5, b"\0" * 4), "does not fit into the file"),
        (number(1, 1) + data(2, data(2, number(1, -1))), "does not fit into the file"),
        (number(1, 1) + data(2, data(2, number(1, 2))) + data(4, b"\0" * 6), "6 bytes are no whole number of values"),
        (number(1, 1) + data(2, data(2, number(1, 2))) + data(4, b"\0" * 12), r"3 values do not fill the shape \(2,\)"),
        (number(1, 1) + data(2, data(2, number(1, 2))), r"0 values do not fill the shape \(2,\)"),
        (number(1, 1) + number(2, 1), "field 2 is a number"),
        (data(1, b""), "field 1 is not an integer"),
    ],
)
def test_a_damaged_constant_is_refused_by_its_name(tmp_path, value, message):
    path = written(tmp_path, node("weight", "Const", attributes=attribute("value", data(8, value))))
    with pytest.raises(WeightsError, match=f"expected a frozen TensorFlow graph at .*{message}"):
        read_graph(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is another kind of file"),
        (data(9, b"x"), "it is another kind of file"),
        (data(1, data(1, "name")), "a node has no name or no operator"),
        (b"\x0a\x05abc", "the data ends inside a field"),
        (b"\x0a\xff", "the data ends inside a number"),
        (b"\xff" * 11, "a number is longer than 64 bits"),
        (b"\x0b", "a field has the wire type 3"),
        (node("n", "Op")[:-1], "the data ends inside a field"),
    ],
)
def test_a_foreign_or_truncated_graph_is_refused(tmp_path, content, message):
    with pytest.raises(WeightsError, match=f"expected a frozen TensorFlow graph at .*, but {message}"):
        read_graph(written(tmp_path, content))


# ---------------------------------------------------------------- OpenAI's graphs


def test_a_plain_graph_tells_everything(tmp_path, variables):
    model = import_weights(written(tmp_path, graph(variables, image_size=16, bits=5)))
    assert model.config.image_size == 16
    assert model.config.bits == 5
    assert (model.config.levels, model.config.depth, model.config.width) == (2, 1, 5)
    assert model.config.coupling == "affine"


def test_a_folded_graph_gives_the_same_weights(tmp_path, variables):
    plain = import_weights(written(tmp_path, graph(variables))).state_dict()
    again = import_weights(written(tmp_path, graph(folded(variables)))).state_dict()
    for name, weight in plain.items():
        np.testing.assert_allclose(again[name], weight, rtol=0, atol=1e-6)


def test_a_graph_may_hold_a_weight_and_what_folding_made_of_it(tmp_path, variables):
    path = written(tmp_path, graph(variables | folded(variables)))
    plain = import_weights(written(tmp_path / "plain", graph(variables)))
    for name, weight in import_weights(path).state_dict().items():
        assert (plain.state_dict()[name] == weight).all()
    arrays = folded(variables)
    name = next(name for name in arrays if name.startswith("model/1/0/f1/l_last/Exp"))
    with pytest.raises(WeightsError, match="cannot be imported:\n  not understood: model/1/0/f1/l_last/Exp"):
        import_weights(written(tmp_path, graph(variables | {name: arrays[name] * 2})))


def test_the_ring_of_ones_is_no_weight(tmp_path, variables):
    ring = np.ones((1, 6, 6, 1), np.float32)
    ring[:, 1:-1, 1:-1] = 0
    content = graph(variables) + const("model/0/0/f1/l_1/Const", ring)
    import_weights(written(tmp_path, content))
    with pytest.raises(WeightsError, match=r"not understood: model/0/0/f1/l_1/Const \(1, 6, 6, 1\)"):
        import_weights(written(tmp_path, graph(variables) + const("model/0/0/f1/l_1/Const", 2 * ring)))


@pytest.mark.parametrize("name", ["input/downsampled/W", "model/0/0/f1/l_3/W", "model/prior/y_emb/W", "model/Exp"])
def test_an_unknown_weight_is_named(tmp_path, variables, name):
    content = graph(variables) + const(name, np.ones((2, 3), np.float32))
    with pytest.raises(WeightsError, match=rf"cannot be imported:\n  not understood: {name} \(2, 3\)$"):
        import_weights(written(tmp_path, content))


def test_unknown_operators_are_warned_of(tmp_path, variables, caplog):
    import_weights(written(tmp_path, graph(variables)))
    assert not caplog.records
    import_weights(written(tmp_path, graph(variables) + node("model/edge", "EdgeBias") + node("model/r", "Rsqrt")))
    assert "has operators that OpenAI's released code does not use (EdgeBias, Rsqrt)" in caplog.text


@pytest.mark.parametrize("wrong", ["/invconv/Reshape", "actnorm_scale/Exp"])
def test_folded_numbers_that_do_not_follow_are_named(tmp_path, variables, wrong):
    arrays = folded(variables)
    name = next(name for name in arrays if name.startswith("model_1/") and wrong in name)
    arrays[name] = arrays[name] + 1
    with pytest.raises(WeightsError, match=f"not understood: {name.split('/_')[0]}"):
        import_weights(written(tmp_path, graph(arrays)))


def test_numbers_that_cannot_be_exponentials_are_named(tmp_path, variables):
    arrays = {name: -array if "/Exp" in name else array for name, array in folded(variables).items()}
    with pytest.raises(WeightsError, match="not understood: model/0/0/actnorm_scale/Exp"):
        import_weights(written(tmp_path, graph(arrays)))


# ---------------------------------------------------------------- image size and bits


@pytest.mark.parametrize("shape", [None, (-1, 8, 16, 3), (-1, -1, -1, 3), (8, 8)])
def test_an_image_size_that_a_graph_does_not_tell_must_be_given(tmp_path, variables, shape):
    content = graph(variables).replace(placeholder("input/image", (-1, 8, 8, 3)), b"")
    path = written(tmp_path, content + (placeholder("input/image", shape) if shape else b""))
    with pytest.raises(InputError, match="does not hold the model's image_size; pass it"):
        import_weights(path)
    assert import_weights(path, image_size=32).config.image_size == 32


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_graph_tells_its_bits(tmp_path, bits):
    assert openai_graph.bits(read_graph(written(tmp_path, graph({}, bits=bits)))) == bits


def test_bits_that_a_graph_contradicts_must_be_given(tmp_path, variables):
    path = written(tmp_path, graph(variables) + const("model_1/random_uniform/max", np.float32(1 / 256)))
    with pytest.raises(InputError, match=r"does not hold the model's bits; pass it, .*\(path, bits=5\)"):
        import_weights(path)
    assert import_weights(path, bits=5).config.bits == 5
