"""The command line: what each command writes, and what it says when it cannot."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from flowxfer import images
from flowxfer.cli import EXAMPLES, app, demo
from flowxfer.errors import WeightsError
from flowxfer.images.people import TruePeople

runner = CliRunner()
SIZE = 32  # of the tiny model's faces
NAMES = ["target", "smile", "neutral0", "neutral1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def faces(tmp_path):
    """Pictures in a folder: smooth, so that the tiny model's latents stay tame; by name."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    folder = tmp_path / "faces"
    folder.mkdir()
    found = {}
    for index, name in enumerate(NAMES):
        pixels = np.stack([3 * x + 20 * index, 3 * y + 10, 2 * x + 2 * y + 15 * index], axis=2).astype(np.uint8)
        found[name] = folder / f"{name}.png"
        images.save(pixels, found[name])
    return found


@pytest.fixture
def performance(faces, tiny_bundle):
    """The options that every transfer needs, but the target's."""
    neutrals = f"-n {faces['neutral0']} -n {faces['neutral1']}"
    return f"-e {faces['smile']} {neutrals} -m {tiny_bundle}"


def run(line: str, status: int = 0):
    result = runner.invoke(app, shlex.split(line))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def refused(line: str) -> str:
    """Run what must fail as a user's mistake does: status 2, one sentence on stderr, and nothing written."""
    before = sorted(Path.cwd().rglob("*"))
    result = run(line, 2)
    assert result.stdout == ""
    assert result.stderr.startswith("flowxfer: ")
    assert result.stderr.count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before
    return result.stderr


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- help


@pytest.mark.parametrize(("command", "example"), EXAMPLES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_help_has_an_example_that_parses(command, example):
    words = shlex.split(example)
    assert words[:2] == ["flowxfer", command.__name__]
    shown = " ".join(run(f"{command.__name__} --help").stdout.split())
    assert f"Example: {example}" in shown
    assert command.__doc__.splitlines()[0].split(":")[0] in shown
    typer.main.get_command(app).commands[command.__name__].make_context(command.__name__, words[2:])


def test_help_and_version():
    for arguments in ("--help", "-h"):
        shown = run(arguments).stdout
        assert all(command.__name__ in shown for command in EXAMPLES)
    assert run("--version").stdout.startswith("flowxfer")


def test_help_loads_nothing_heavy():
    code = "import sys, flowxfer.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "onnx", "onnxruntime", "pooch", "requests", "filelock"} & set(loaded) == set()


def test_python_m_is_the_same():
    command = [sys.executable, "-m", "flowxfer", "transfer", "-t", "nowhere.png", "-e", "a", "-n", "b", "-o", "c"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("flowxfer: expected a picture or a folder of pictures at nowhere.png")


def test_usage_errors_are_sentences_too():
    result = run("transfer --target a.png", 2)
    assert "Missing option" in result.stderr
    assert "Traceback" not in result.output
    assert "No such command" in run("tranfer", 2).stderr


# ---------------------------------------------------------------- transfer


def test_alpha_0_returns_the_target(here, faces, performance):
    assert run(f"transfer -t {faces['target']} {performance} -a 0 -o out.png").stdout == "out.png\n"
    assert np.array_equal(images.load(here / "out.png"), images.load(faces["target"]))


def test_transfer_is_what_the_library_does(here, faces, performance, tiny_transferer):
    run(f"transfer -t {faces['target']} {performance} -a 0.4 -o out.png")
    neutral = [faces["neutral0"], faces["neutral1"]]
    expected = tiny_transferer.transfer(faces["target"], faces["smile"], neutral, 0.4)
    assert np.array_equal(images.load(here / "out.png"), expected.reshape(SIZE, SIZE, 3))


def test_a_strength_for_each_level(here, faces, performance):
    levels = len(run_info(performance)["latents"].split("x")) // 2
    run(f"transfer -t {faces['target']} {performance} -a {','.join(['0.4'] * levels)} -o levels.png")
    run(f"transfer -t {faces['target']} {performance} -a 0.4 -o one.png")
    assert np.array_equal(images.load("levels.png"), images.load("one.png"))


def run_info(performance: str) -> dict[str, str]:
    lines = run(f"info {shlex.split(performance)[-1]}").stdout.splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_several_targets_go_into_a_folder(here, faces, performance):
    run(f"transfer -t {faces['target'].parent} {performance} -a 0 -o out")
    assert files(here / "out") == sorted(f"{name}.png" for name in NAMES)
    for name in NAMES:
        assert np.array_equal(images.load(here / "out" / f"{name}.png"), images.load(faces[name]))


def test_targets_of_one_name_are_told_apart_by_their_folders(here, faces, performance):
    for person in ("ann", "bob"):
        (here / person).mkdir()
        images.save(images.load(faces["target"]), here / person / "0.png")
    run(f"transfer -t ann -t bob {performance} -o out")
    assert files(here / "out") == ["ann_0.png", "bob_0.png"]
    assert "expected inputs whose names differ" in refused(f"transfer -t ann -t ann {performance} -o again")


def test_square_pictures_of_another_size_are_resized(here, faces, performance):
    images.save(images.load(faces["target"], 3 * SIZE), here / "large.png")
    run(f"transfer -t large.png {performance} -a 0 -o out.png")
    assert np.array_equal(images.load("out.png"), images.load("large.png", SIZE))


def test_pictures_that_are_not_square_are_refused(here, faces, performance):
    images.save(images.load(faces["target"])[:20], here / "wide.png")
    assert "expected a square face, got 32x20 pixels in wide.png" in refused(
        f"transfer -t wide.png {performance} -o out.png"
    )


def test_what_exists_is_replaced_only_by_force(here, faces, performance):
    line = f"transfer -t {faces['target']} {performance} -a 0 -o out.png"
    (here / "out.png").write_text("precious")
    assert "out.png exists already; --force replaces it" in refused(line)
    assert (here / "out.png").read_text() == "precious"
    run(f"{line} --force")
    assert images.load("out.png").shape == (SIZE, SIZE, 3)


def test_mistakes_in_a_transfer(here, faces, performance):
    target = f"transfer -t {faces['target']}"
    assert "0.3,0.4, got 'strong'" in refused(f"{target} {performance} -a strong -o out.png")
    assert "expected a name that ends in .png" in refused(f"{target} {performance} -o out.tga")
    assert "expected a folder for 4 pictures, got the file name out.png" in refused(
        f"transfer -t {faces['target'].parent} {performance} -o out.png"
    )
    (here / "text.png").write_text("no picture")
    performance = performance.replace(f"-e {faces['smile']}", "-e text.png")
    assert "in text.png, got something else" in refused(f"{target} {performance} -o out.png")
    assert "got 'nobody', which is neither" in refused(f"{target} -e a -n b -m nobody -o out.png")


def test_a_damaged_bundle_is_named(here, faces, tiny_bundle):
    bundle = here / "bundle"
    bundle.mkdir()
    for name in files(tiny_bundle):
        (bundle / name).write_bytes((tiny_bundle / name).read_bytes())
    (bundle / "weights.bin").write_bytes(b"damaged")
    assert "weights.bin in bundle is damaged" in refused(
        f"transfer -t {faces['target']} -e {faces['smile']} -n {faces['neutral0']} -m bundle -o out.png"
    )


# ---------------------------------------------------------------- sweep, mix, sample


def test_sweep_writes_pictures_a_strip_and_a_gif(here, faces, performance):
    shown = run(f"sweep -t {faces['target']} {performance} -a 0,0.25,0.5 -o out --gif").stdout.split()
    expected = ["alpha_0.00.png", "alpha_0.25.png", "alpha_0.50.png", "strip.png", "sweep.gif"]
    assert files(here / "out") == expected
    assert [Path(name).name for name in shown] == expected
    assert np.array_equal(images.load("out/alpha_0.00.png"), images.load(faces["target"]))
    with Image.open("out/strip.png") as strip, Image.open("out/sweep.gif") as gif:
        assert strip.width > 3 * 128
        assert gif.n_frames == 4


def test_sweep_takes_the_papers_strengths(here, faces, performance):
    run(f"sweep -t {faces['target']} {performance} -o out")
    pictures = [f"alpha_0.{percent}.png" for percent in range(30, 51, 2)]
    assert files(here / "out") == [*pictures, "strip.png"]


def test_mistakes_in_a_sweep(here, faces, performance):
    line = f"sweep -t {faces['target']} {performance} -o out"
    assert "expected strengths that differ, got 0.5,0.50" in refused(f"{line} -a 0.5,0.50")
    (here / "out").mkdir()
    (here / "out" / "sweep.gif").touch()
    assert "out/sweep.gif exists already" in refused(f"{line} --gif -a 0.5")
    run(f"{line} -a 0.5")  # without --gif nothing would be lost


def test_mix(here, faces, tiny_bundle):
    run(f"mix {faces['target']} {faces['smile']} -a 0 -m {tiny_bundle} -o first.png")
    assert np.array_equal(images.load("first.png"), images.load(faces["target"]))
    run(f"mix {faces['target']} {faces['smile']} -m {tiny_bundle} -o out")
    assert files(here / "out") == ["target_smile.png"]


def test_sample_writes_a_sheet_or_a_folder_and_a_seed_repeats_it(here, tiny_bundle):
    for name in ("a", "b"):
        run(f"sample -n 3 --seed 1 -m {tiny_bundle} -o {name}.png")
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    run(f"sample -n 3 --seed 1 -m {tiny_bundle} -o out")
    assert files(here / "out") == ["sample_000.png", "sample_001.png", "sample_002.png"]
    assert images.load("out/sample_002.png").shape == (SIZE, SIZE, 3)


# ---------------------------------------------------------------- latents


def test_encode_and_decode_return_every_pixel(here, faces, tiny_bundle):
    folder = faces["target"].parent
    run(f"encode {folder} -o faces.safetensors --openai z.npy -m {tiny_bundle}")
    assert np.load("z.npy", allow_pickle=False).shape == (4, 3 * SIZE**2)
    run(f"decode faces.safetensors -m {tiny_bundle} -o out")
    for index, name in enumerate(sorted(NAMES)):
        assert np.array_equal(images.load(here / "out" / f"faces_{index:03}.png"), images.load(faces[name]))


def test_openais_layout_comes_back(here, faces, tiny_bundle):
    run(f"encode {faces['target']} --openai z.npy -m {tiny_bundle}")
    run(f"decode --openai z.npy -m {tiny_bundle} -o out.png")
    assert np.array_equal(images.load("out.png"), images.load(faces["target"]))


def test_mean(here, faces, tiny_bundle):
    run(f"mean {faces['target']} {faces['target']} -m {tiny_bundle} -o out.png")
    assert np.abs(images.load("out.png").astype(int) - images.load(faces["target"])).max() <= 1
    run(f"mean {faces['target'].parent} -m {tiny_bundle} -o neutral.safetensors")
    run(f"decode neutral.safetensors -m {tiny_bundle} -o neutral.png")
    run(f"mean {faces['target'].parent} -m {tiny_bundle} -o same.png")
    assert np.array_equal(images.load("neutral.png"), images.load("same.png"))


def test_mistakes_with_latents(here, faces, tiny_bundle):
    model = f"-m {tiny_bundle}"
    assert "expected where to write: --output latents.safetensors" in refused(f"encode {faces['target']} {model}")
    assert "ends in .safetensors for latents, got z.npy" in refused(f"encode {faces['target']} {model} -o z.npy")
    assert "expected one file of latents: LATENTS, or --openai" in refused(f"decode {model} -o out.png")
    (here / "bad.safetensors").write_bytes(b"\xff" * 20)
    assert "bad.safetensors" in refused(f"decode bad.safetensors {model} -o out.png")
    np.save("short.npy", np.zeros((1, 5), np.float32))
    assert "got float32 (1, 5)" in refused(f"decode --openai short.npy {model} -o out.png")


# ---------------------------------------------------------------- models


def test_models_download_and_info(here, tiny_bundle):
    assert "openai-celebahq-256    to download" in run("models").stdout
    assert run(f"download {tiny_bundle}").stdout == f"{tiny_bundle}\n"
    shown = run(f"info {tiny_bundle}").stdout
    assert "attributes:   none\n" in shown
    assert "attributes:   Smiling, " in run("info synthetic-64").stdout
    for text in ("32x32 pixels", "(verified)", "exact-fp32", "weights.bin"):
        assert text in shown
    assert "`flowxfer download openai-celebahq-256` fetches it" in run("info openai-celebahq-256").stdout
    assert "did you mean openai-celebahq-256?" in refused("info openai-celebahq")


def test_offline_download(here, monkeypatch):
    monkeypatch.setenv("FLOWXFER_OFFLINE", "1")
    result = run("download openai-celebahq-256", 2)
    assert "openai-celebahq-256 is not in the cache, and FLOWXFER_OFFLINE forbids downloads" in result.stderr


def test_export(here, monkeypatch):
    calls = []
    monkeypatch.setattr("flowxfer.glow.importers.import_weights", lambda path, **options: calls.append(options))
    monkeypatch.setattr("flowxfer.export.export_bundle", lambda glow, folder, **options: calls.append(options))
    run("export w.pb -o mine/celebahq --latents raw --storage float16 --ema --image-size 256 --bits 5 --licence MIT")
    importing, exporting = calls
    assert importing == {"ema": True, "image_size": 256, "bits": 5}
    assert exporting["name"] == "celebahq"
    assert (exporting["latents"], exporting["precision"], exporting["storage"]) == ("raw", "exact-fp32", "float16")
    assert (exporting["licence"], exporting["origin"], exporting["overwrite"]) == ("MIT", "w.pb", False)


def test_mistakes_in_an_export(here, monkeypatch):
    assert "there is nothing at nowhere.pb" in refused("export nowhere.pb -o mine")
    (here / "mine").mkdir()
    assert "mine exists already" in refused("export nowhere.pb -o mine")
    assert "--latents" in run("export nowhere.pb -o new --latents zeta", 2).stderr
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "`flowxfer export` needs torch, which is not installed; pip install 'flowxfer[export,import]'" in refused(
        "export nowhere.pb -o new"
    )


def test_train(here, monkeypatch):
    from flowxfer.glow.training import Figures

    def train(config, *, resume, sitting_minutes, on_step):
        on_step(1, Figures.__new__(Figures))
        return f"{config.output}, resumed: {resume}, for {sitting_minutes} minutes"

    monkeypatch.setattr("flowxfer.glow.training.train", train)
    (here / "run.toml").write_text('output = "runs/one"\nfaces = "faces"\n')
    assert run("train run.toml --resume").stdout == "runs/one, resumed: True, for inf minutes\n"
    assert run("train run.toml --sitting 8").stdout == "runs/one, resumed: False, for 8.0 minutes\n"
    assert "nowhere.toml" in refused("train nowhere.toml")


def test_doctor(monkeypatch):
    from flowxfer.cli import doctor

    for level, status in (("ok", 0), ("warning", 0), ("problem", 1)):
        report = doctor.Report((doctor.Line("numpy", "ok", "2.4"), doctor.Line("cuda", level, "libcudart is away")))
        monkeypatch.setattr(doctor, "examine", lambda providers, engine, report=report: report)
        shown = run("doctor", status).stdout
        assert "libcudart is away" in shown
        assert level.upper() in shown.upper()


# ---------------------------------------------------------------- demo


@pytest.fixture
def people(tmp_path, faces, monkeypatch):
    folder = tmp_path / "people"
    pictures = ["truth/id5/neutral"]
    for person, name in demo.PAIRS:
        pictures += [f"expressions/{name}", f"truth/{person}/neutral", f"truth/{person}/{name}"]
    for index, picture in enumerate(pictures):
        images.save(images.load(faces[NAMES[index % 4]], 2 * SIZE), folder / f"{picture}.png")
    (folder / "truth" / "parameters.json").write_text('{"source": "id5"}')
    monkeypatch.setattr(TruePeople, "bundled", classmethod(lambda cls: cls.read(folder)))
    return folder


def test_demo(here, people, tiny_bundle):
    lines = run(f"demo -m {tiny_bundle}").stdout.splitlines()
    assert files(here / "demo") == ["sweep.gif", "sweep.png", "transfer.png"]
    assert [line.split()[0] for line in lines] == ["demo/transfer.png", "demo/sweep.png", "demo/sweep.gif"]
    assert all(line.endswith(" s") for line in lines)
    with Image.open(here / "demo" / "transfer.png") as table:
        assert table.width > 7 * 128
        assert table.height > len(demo.PAIRS) * 128
    assert "transfer.png exists already" in refused(f"demo -m {tiny_bundle}")


def test_demo_without_people(here, monkeypatch, tmp_path):
    monkeypatch.setattr("flowxfer.images.people.resources.files", lambda package: tmp_path)
    assert "expected the demo people at" in refused("demo")


# ---------------------------------------------------------------- how it ends


def test_ctrl_c_is_130(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("flowxfer.models.hub.list_models", interrupt)
    result = run("models", 130)
    assert "Traceback" not in result.output


def test_errors_of_the_system_are_sentences(here, faces, performance, monkeypatch):
    def full(array, path, mark=None):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(images, "save", full)
    assert "flowxfer: No space left on device: out.png" in refused(
        f"transfer -t {faces['target']} {performance} -o out.png"
    )


def test_an_error_of_several_lines_keeps_them(monkeypatch):
    def refuse(name, **options):
        raise WeightsError("not understood:\n  a\n  b")

    monkeypatch.setattr("flowxfer.models.hub.resolve", refuse)
    assert run("download x", 2).stderr == "flowxfer: not understood:\n  a\n  b\n"


def test_a_reader_that_leaves_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "flowxfer", "models"]
    with os.fdopen(writing, "w") as closed:
        result = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == ""


def test_the_root_logger_is_left_alone():
    assert not logging.getLogger("flowxfer").handlers


@pytest.mark.parametrize("field", ["name", "licence", "\x1b]0;field\x07"])
def test_a_bundle_does_not_steer_the_terminal(tiny_bundle, tmp_path, field):
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    values = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(values | {field: "a\x1b[2J\x1b]0;title\x07"}))
    result = run(f"info {folder}", 2)
    assert result.stderr.startswith("flowxfer: expected the fields of a manifest in ")
    assert result.stderr.strip("\n").isprintable()


def test_a_file_name_does_not_steer_the_terminal(tmp_path):
    result = runner.invoke(app, ["info", str(tmp_path / "a\x1b[2J")])
    assert result.exit_code == 2
    assert result.stderr.strip("\n").isprintable()
    assert r"\x1b[2J" in result.stderr
