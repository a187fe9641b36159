import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from flowxfer import Latents, images
from flowxfer.cli import app
from flowxfer.cli.attributes import EXAMPLES
from flowxfer.directions import ATTRIBUTES, Attributes, learn, openai_latents, read_labels
from flowxfer.engines.probes import probe

LABELS = "4\nSmiling Male\n1.png 1 -1\n2.png -1 -1\n3.png 1 1\n4.png -1 1\n"


def run(line, status=0):
    result = CliRunner().invoke(app, shlex.split(line))
    assert result.exit_code == status, result.output
    return result


def refused(line):
    before = sorted(Path.cwd().rglob("*"))
    result = run(line, 2)
    assert result.stdout == ""
    assert result.stderr.startswith("flowxfer: ")
    assert sorted(Path.cwd().rglob("*")) == before
    return result.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 5):
        images.save(probe("photograph", 32, seed=number), f"{number}.png")
    images.save(images.load("3.png").repeat(2, 0).repeat(2, 1), "3.png")  # of another size
    Path("labels.txt").write_text(LABELS)
    return tmp_path


@pytest.fixture
def learned(here, tiny_bundle):
    run(f"attributes learn . --labels labels.txt -o learned.safetensors -m {tiny_bundle}")
    return here / "learned.safetensors"


@pytest.mark.parametrize(("name", "command", "example"), [(name, *rest) for name, rest in EXAMPLES.items()])
def test_each_help_has_an_example_that_parses(name, command, example):
    words = shlex.split(example)
    assert words[:3] == ["flowxfer", "attributes", name]
    shown = " ".join(run(f"attributes {name} --help").stdout.split())
    assert f"Example: {example}" in shown
    assert command.__doc__.splitlines()[0].split(":")[0] in shown
    typer.main.get_command(app).commands["attributes"].commands[name].make_context(name, words[3:])


def test_learn(learned, tiny_transferer):
    found = Attributes.load(learned, tiny_transferer.manifest)
    faces = [images.load(f"{number}.png", 32) for number in range(1, 5)]
    expected = learn(tiny_transferer, faces, read_labels("labels.txt"))
    assert list(found) == ["Smiling", "Male"]
    for name in found:
        for a, b in zip(found[name].levels, expected[name].levels, strict=True):
            np.testing.assert_array_equal(a, b)


def test_learn_and_keep_some(learned, tiny_bundle, tiny_transferer):
    run(f"attributes learn . --labels labels.txt --keep Male -o male.safetensors -m {tiny_bundle}")
    found, all_ = (Attributes.load(path, tiny_transferer.manifest) for path in ("male.safetensors", learned))
    assert list(found) == ["Male"]
    np.testing.assert_array_equal(found["Male"].levels[0], all_["Male"].levels[0])
    sentence = refused(f"attributes learn . --labels labels.txt --keep Young -o x.safetensors -m {tiny_bundle}")
    assert "expected some of Smiling, Male to keep, each once, got 'Young'" in sentence


def test_what_cannot_be_learned_from(here, tiny_bundle):
    Path("4.png").unlink()
    assert "but 4.png is missing" in refused(
        f"attributes learn . --labels labels.txt -o x.safetensors -m {tiny_bundle}"
    )
    assert "expected labels as" in refused(f"attributes learn . --labels 1.png -o x.safetensors -m {tiny_bundle}")
    assert "ends in .safetensors for attributes, got x.npy" in refused(
        "attributes learn . --labels labels.txt -o x.npy"
    )


def test_list(learned, tiny_bundle):
    assert run(f"attributes list --attributes {learned} -m {tiny_bundle}").stdout == "Smiling\nMale\n"
    result = run(f"attributes list -m {tiny_bundle}")
    assert (result.stdout, result.stderr) == ("", "tiny has none; `flowxfer attributes learn` makes some\n")


def test_import(here, tiny_bundle, tiny_transferer):
    rng = np.random.default_rng(0)
    shapes = tiny_transferer.manifest.latent_shapes
    levels = [rng.normal(size=(40, *shape)).astype(np.float32) for shape in shapes]
    np.save("z_manipulate.npy", openai_latents.flatten(levels))
    run(f"attributes import z_manipulate.npy -o celeba.safetensors -m {tiny_bundle}")
    found = Attributes.load("celeba.safetensors", tiny_transferer.manifest)
    np.testing.assert_array_equal(found["Smiling"].levels[1], levels[1][31:32])
    assert "--force replaces it" in refused(
        f"attributes import z_manipulate.npy -o celeba.safetensors -m {tiny_bundle}"
    )


def test_manipulate(learned, tiny_bundle, tiny_transferer):
    options = f"--attributes {learned} -m {tiny_bundle}"
    run(f"manipulate Smiling=0.8 Male=-0.5 -t 1.png -o out.png {options}")
    attributes = Attributes.load(learned, tiny_transferer.manifest)
    direction = 0.8 * attributes["Smiling"] - 0.5 * attributes["Male"]
    expected = tiny_transferer.manipulate("1.png", Latents(direction.levels, direction.model_hash))[0]
    assert np.abs(images.load("out.png").astype(int) - expected).max() <= 1
    assert "alpha" in run("provenance show out.png").stdout
    run(f"manipulate Smiling=0 -t 1.png -t 2.png -o same {options}")
    for name in ("1.png", "2.png"):
        np.testing.assert_array_equal(images.load(f"same/{name}"), images.load(name))


def test_manipulate_with_what_comes_with_the_model(learned, tiny_bundle, here):
    bundle = shutil.copytree(tiny_bundle, here / "bundle")
    shutil.copy(learned, bundle / ATTRIBUTES)
    run("manipulate Smiling=0.8 -t 1.png -o a.png -m ./bundle")
    run(f"manipulate Smiling=0.8 -t 1.png -o b.png -m {tiny_bundle} --attributes {learned}")
    np.testing.assert_array_equal(images.load("a.png"), images.load("b.png"))


def test_an_attribute_twice(here):
    sentence = refused("manipulate Smiling=1 Smiling=0.5 -t 1.png -o out.png")
    assert "expected each attribute once, got Smiling=1, Smiling=0.5" in sentence


def test_names_to_keep_may_have_blanks(learned, tiny_bundle, tiny_transferer):
    run(f"attributes learn . --labels labels.txt --keep 'Male, Smiling' -o both.safetensors -m {tiny_bundle}")
    assert list(Attributes.load("both.safetensors", tiny_transferer.manifest)) == ["Male", "Smiling"]
    twice = f"attributes learn . --labels labels.txt --keep Male,Male -o x.safetensors -m {tiny_bundle}"
    assert "to keep, each once, got 'Male,Male'" in refused(twice)


@pytest.mark.parametrize("setting", ["Smiling", "Smiling=", "=0.5", "Smiling=much", ""])
def test_what_is_no_setting(here, setting):
    sentence = refused(f"manipulate '{setting}' -t 1.png -o out.png")
    assert "expected attributes with their strengths, such as Smiling=0.8, got" in sentence


def test_what_the_model_has_not(learned, tiny_bundle):
    line = f"manipulate Smilling=1 -t 1.png -o out.png -m {tiny_bundle}"
    assert "got 'Smilling'; there are none" in refused(line)
    assert "got 'Smilling'; did you mean Smiling?" in refused(f"{line} --attributes {learned}")
    assert "expected attributes of the model" in refused(
        f"manipulate Smiling=1 -t 1.png -o o.png --attributes {learned}"
    )
