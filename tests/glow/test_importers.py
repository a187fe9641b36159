"""import_weights: which source a file is, OpenAI's variables, and files that are none of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from flowxfer.errors import InputError, WeightsError
from flowxfer.glow import save
from flowxfer.glow.importers import import_weights
from tests import reference
from tests.glow.random_glow import random_glow
from tests.glow.tensorflow_files import graph, write_checkpoint

AVERAGE = "/ExponentialMovingAverage"
OPTIMIZER = {"Variable": np.float32(3), "Variable_1": np.ones((1, 1, 1, 12), np.float32)}


@pytest.fixture(scope="module")
def variables():
    return reference.random_variables(2, 2, 5, "additive", seed=0)


def checkpoint(folder, variables, **given):
    return import_weights(write_checkpoint(folder, variables), **{"image_size": 8, "bits": 5, **given})


# ---------------------------------------------------------------- recognition


def test_every_source_is_recognised_by_what_it_holds(tmp_path, variables):
    """Names do not matter: each file is called the same."""
    write_checkpoint(tmp_path / "a", variables, name="weights")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weights").write_bytes(graph(variables))
    expected = import_weights(tmp_path / "a" / "weights", image_size=8, bits=5)
    save(expected, tmp_path / "weights")
    for path in (tmp_path / "a", tmp_path / "b" / "weights", tmp_path / "weights"):
        model = import_weights(str(path), image_size=8, bits=5)
        assert model.config == expected.config
        assert not model.training
        for name, weight in expected.state_dict().items():
            assert torch.equal(model.state_dict()[name], weight)


def test_a_flowxfer_file_tells_its_configuration_unless_it_is_overruled(tmp_path):
    model = random_glow(bits=4).float()
    save(model, tmp_path / "model.safetensors")
    assert import_weights(tmp_path / "model.safetensors").config == model.config
    config = import_weights(tmp_path / "model.safetensors", image_size=16, bits=6).config
    assert (config.image_size, config.bits) == (16, 6)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"short", b"#!/bin/sh\n" * 9, bytes(64)])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"expected a flowxfer file .*, but .*file.pt is another kind of file"):
        import_weights(path)


def test_nothing_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"but there is nothing at .*nowhere"):
        import_weights(tmp_path / "nowhere")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"but the folder .* has no checkpoint; name the file"):
        import_weights(tmp_path)


def test_safetensors_of_another_program_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(WeightsError, match=r"expected 'flowxfer.config' in the header of"):
        import_weights(tmp_path / "other")


# ---------------------------------------------------------------- PyTorch files


class Harmful:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, capsys, zipped):
    torch.save({"weight": Harmful()}, tmp_path / "model.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"damaged or holds other objects, .*; save its state_dict\(\) alone"):
        import_weights(tmp_path / "model.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], r"expected a state dict in .*, got a list; save state_dict\(\)"),
        ({1: torch.zeros(1)}, "expected a state dict in .*, got a dict"),
        ({"a": 1, "b": torch.zeros(1), "c": "text"}, "expected only dense tensors in .*, got other things under a, c"),
        ({"a": torch.zeros(1).expand(10**9)}, "expected only dense tensors in .*, got other things under a"),
        ({"a": torch.eye(2).to_sparse()}, "expected only dense tensors in .*, got other things under a"),
        ({"fc.weight": torch.zeros(1)}, "expected the weights of a known source in .*, got fc.weight"),
        ({}, "expected the weights of a known source in .*"),
    ],
)
def test_other_pytorch_files_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=message):
        import_weights(tmp_path / "model.pt")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch will drop quantised tensors
def test_quantised_tensors_are_refused(tmp_path):
    torch.save({"a": torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)}, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"expected only dense tensors in .*, got other things under a"):
        import_weights(tmp_path / "model.pt")


def test_a_truncated_pytorch_file_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"blocks.0.flows.0.actnorm.loc": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(WeightsError, match=r"expected a PyTorch file of tensors at .*model.pt, but it is damaged"):
        import_weights(path)


# ---------------------------------------------------------------- OpenAI's variables


def test_the_configuration_shows_in_the_weights(tmp_path):
    for coupling in ("additive", "affine"):
        for learned_prior in (True, False):
            variables = reference.random_variables(3, 2, 4, coupling, seed=0, learned_prior=learned_prior)
            config = checkpoint(tmp_path / f"{coupling}{learned_prior}", variables, bits=8).config
            assert (config.levels, config.depth, config.width, config.bits) == (3, 2, 4, 8)
            assert (config.coupling, config.learned_prior, config.lu) == (coupling, learned_prior, False)


@pytest.mark.parametrize(("given", "missing"), [({"bits": None}, "bits"), ({"image_size": None}, "image_size")])
def test_a_checkpoint_does_not_tell_size_and_bits(tmp_path, variables, given, missing):
    with pytest.raises(InputError, match=f"does not hold the model's {missing}; pass it, such as"):
        checkpoint(tmp_path, variables, **given)


@pytest.mark.parametrize("image_size", [6, 2**15])
def test_an_impossible_image_size_is_refused(tmp_path, variables, image_size):
    with pytest.raises(WeightsError, match=rf"image_size.*{image_size}"):
        checkpoint(tmp_path, variables, image_size=image_size)


def test_the_optimiser_and_the_other_set_of_weights_are_left_out(tmp_path, variables):
    averages = {name + AVERAGE: 2 * array for name, array in variables.items()}
    everything = variables | averages | OPTIMIZER
    last = checkpoint(tmp_path / "a", everything).state_dict()
    ema = checkpoint(tmp_path / "b", everything, ema=True).state_dict()
    for name, weight in checkpoint(tmp_path / "c", variables).state_dict().items():
        assert torch.equal(last[name], weight)
        assert torch.equal(ema[name], 2 * weight)


def test_weights_without_an_average_are_named(tmp_path, variables):
    averages = {name + AVERAGE: array for name, array in variables.items() if "prior" not in name}
    with pytest.raises(WeightsError, match=r"got none of model/prior/p/W, .*; ema=False imports the last weights"):
        checkpoint(tmp_path, variables | averages, ema=True)


def test_only_a_checkpoint_has_averages(tmp_path, variables):
    (tmp_path / "graph.pb").write_bytes(graph(variables))
    with pytest.raises(WeightsError, match="expected a checkpoint, which alone has moving averages"):
        import_weights(tmp_path / "graph.pb", ema=True)


def test_everything_that_does_not_fit_is_listed(tmp_path, variables):
    changed = dict(variables)
    del changed["model/0/1/invconv/W"]
    changed["model/pool0/conv/b"] = np.zeros((1, 1, 1, 13), np.float32)
    changed["model/prior/y_emb/W"] = np.zeros((10, 96), np.float32)
    changed["model/0/0/f1/l_1/actnorm_center/b"] = np.zeros((1, 1, 1, 5), np.int32)
    with pytest.raises(WeightsError) as caught:
        checkpoint(tmp_path, changed)
    assert [re.sub(" +", " ", line) for line in str(caught.value).splitlines()[1:]] == [
        " wrong type: model/0/0/f1/l_1/actnorm_center/b is torch.int32, expected floating point numbers",
        " missing: model/0/1/invconv/W (12, 12)",
        " wrong shape: model/pool0/conv/b is (1, 1, 1, 13), expected (1, 1, 1, 12)",
        " not understood: model/prior/y_emb/W (10, 96)",
    ]


def test_a_gap_in_the_levels_is_not_understood(tmp_path, variables):
    more = {name.replace("model/1/", "model/5/"): array for name, array in variables.items() if "model/1/" in name}
    with pytest.raises(WeightsError, match="not understood: model/5/0/actnorm_center/b"):
        checkpoint(tmp_path, variables | more)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"expected the variables of OpenAI's Glow in .*f1/l_1/W is not"):
        checkpoint(tmp_path, {"resnet/conv1/W": np.zeros((3, 3), np.float32)})


def test_missing_weights_of_many_levels_take_no_memory(tmp_path):
    """A few small names describe a model with matrices of 98304 x 98304."""
    names = {f"model/{level}/0/f1/l_1/W": np.zeros((1, 1, 1, 1), np.float32) for level in range(14)}
    names["model/0/0/f1/l_last/W"] = np.zeros((1, 1, 1, 6), np.float32)
    with pytest.raises(WeightsError, match=r"missing: model/13/0/invconv/W \(98304, 98304\)"):
        checkpoint(tmp_path, names, image_size=2**14)
