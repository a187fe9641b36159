"""What each command writes about its results, and the commands that show it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import ExifTags, Image, ImageCms
from typer.testing import CliRunner

from flowxfer import images
from flowxfer.cli import app
from flowxfer.cli import photo as photographs
from flowxfer.cli.marking import DUTY
from flowxfer.cli.provenance import EXAMPLES
from flowxfer.provenance import EDITED, GENERATED, Mark, mark, png, read
from flowxfer.provenance.formats import recognise
from flowxfer.provenance.xmp import LIMIT, packet, properties
from tests.faces.photographs import Planted, demo_face, face_at, photograph, placed
from tests.provenance.samples import MARK, exiftool, film, picture, pixels
from tests.provenance.test_xmp import FOREIGN

runner = CliRunner()
SIZE = 32
PLACE = placed(160, 90, 120)
SIGNED = ["transfer", "sweep", "mix", "sample", "mean", "decode", "photo"]


def run(line: str, status: int = 0):
    result = runner.invoke(app, shlex.split(line))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def here(tmp_path, tiny_bundle, monkeypatch):
    """A folder with aligned faces, a photograph and the tiny model; a detector that finds the face in it."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    for index, name in enumerate(("target", "smile", "neutral")):
        face = np.stack([3 * x + 20 * index, 3 * y + 10, 2 * x + 2 * y + 15 * index], axis=2)
        images.save(face.astype(np.uint8), tmp_path / f"{name}.png")
    images.save(photograph(320, 180, (demo_face("id1"), PLACE)), tmp_path / "photograph.png")
    (tmp_path / "model").symlink_to(tiny_bundle)
    monkeypatch.setattr(photographs, "find_by", lambda name: Planted(face_at(PLACE)))
    monkeypatch.chdir(tmp_path)
    run("encode target.png -o z.safetensors -m model")
    return tmp_path


CAPTIONED = FOREIGN.replace(
    b"<dc:source",
    b"""<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">With leave only</rdf:li>
    <rdf:li xml:lang="de">Nur mit Erlaubnis</rdf:li></rdf:Alt></dc:rights>
    <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Ann &amp; Bo at sea</rdf:li></rdf:Alt></dc:description>
    <dc:source""",
)
PERFORMER = "-e smile.png -n neutral.png"
COMMANDS = {
    "transfer": (f"transfer -t target.png {PERFORMER} -a 0.25 -o out.png", {"out.png": (EDITED, (0.25,))}),
    "levels": (
        f"transfer -t target.png {PERFORMER} -a .1,.2,.3 -o out.webp",
        {"out.webp": (EDITED, ((0.1, 0.2, 0.3),))},
    ),
    "nothing": (f"transfer -t target.png {PERFORMER} -a 0 -o out.jpg", {"out.jpg": (EDITED, (0,))}),
    "sweep": (
        f"sweep -t target.png {PERFORMER} -a 0,0.5 --gif -o .",
        {
            "alpha_0.00.png": (EDITED, (0,)),
            "alpha_0.50.png": (EDITED, (0.5,)),
            "strip.png": (EDITED, (0, 0.5)),
            "sweep.gif": (EDITED, (0, 0.5)),
        },
    ),
    "mix": ("mix target.png smile.png -o out.png", {"out.png": (EDITED, (0.5,))}),
    "sample": ("sample -n 2 --seed 1 -o out.png", {"out.png": (GENERATED, ())}),
    "mean": ("mean target.png smile.png -o out.png", {"out.png": (EDITED, ())}),
    "decode": ("decode z.safetensors -o out.png", {"out.png": (EDITED, ())}),
    "photo": (f"photo photograph.png {PERFORMER} -a 0.5 -o out.png", {"out.png": (EDITED, (0.5,))}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_result_says_how_it_was_made_and_without_the_mark_has_the_same_pixels(here, tiny_transferer, name):
    line, results = COMMANDS[name]
    assert run(f"{line} -m model").stderr == ""
    for file, (source_type, alphas) in results.items():
        found = read(here / file)
        assert (found.source_type, found.alphas) == (source_type, alphas)
        assert (found.model, found.model_hash) == ("tiny", tiny_transferer.manifest.model_hash)
        assert (found.tool, found.manifest) == ("flowxfer 0.1.0", None)
    before = {file: pixels(here / file) for file in results}
    assert run(f"{line} -m model --force --no-mark").stderr == f"{DUTY}\n"
    for file in results:
        assert not read(here / file).synthetic
        assert np.array_equal(pixels(here / file), before[file])


@pytest.mark.parametrize("name", SIGNED)
def test_each_result_is_signed_where_there_is_a_certificate(here, pair, name):
    line, results = COMMANDS[name]
    run(f"{line} -m model --certificate {pair[0]} --key {pair[1]}")
    for file, (source_type, _) in results.items():
        found = read(here / file, trust=pair[0])
        assert found.manifest.state == "Trusted"
        assert found.manifest.source_types == (source_type,)
        assert found.source_type == source_type


def test_the_warning_is_one_line_that_names_the_law():
    assert "\n" not in DUTY
    assert "Regulation (EU) 2024/1689 (AI Act), article 50(2) and (4)" in DUTY


def test_the_demo_is_marked(here):
    run("demo -o demo -m model")
    for file in ("transfer.png", "sweep.png", "sweep.gif"):
        assert read(here / "demo" / file).source_type == EDITED
    assert len(read(here / "demo" / "sweep.gif").alphas) == 11


def test_the_papers_pictures_are_marked_and_its_copies_keep_theirs(here):
    """A second run, of what the first lacks, marks as the first did."""
    run("paper -o results -m model -a 0.3,0.5 -e smile")
    strip = next(Path("results").rglob("*.png"))
    strip.unlink()
    run("paper -o results -m model -a 0.3,0.5 -e smile")
    found = {path: read(path) for path in Path("results").rglob("*.png")}
    copies = [path for path in found if path.name == "smile.png"]
    assert copies
    assert not any(found[path].synthetic for path in copies)  # of pictures that do not say so either
    assert all(told.source_type == EDITED for path, told in found.items() if path not in copies)
    assert {told.alphas for told in found.values()} == {(), (0.3,), (0.5,), (0.3, 0.5)}


def test_aligned_faces_pass_the_photographs_mark_on(here, pair):
    run("align photograph.png -o crops --size 64")
    assert read(here / "crops/photograph.png").mark() is None  # a photograph is no synthetic picture
    mark(here / "photograph.png", MARK)
    run("align photograph.png -o crops --size 64 --force")
    assert read(here / "crops/photograph.png").mark() == MARK
    run(f"align photograph.png -o crops --size 64 --force --certificate {pair[0]} --key {pair[1]}")
    assert read(here / "crops/photograph.png").manifest.source_types == (EDITED,)
    run("align photograph.png -o crops --size 64 --force --no-mark")
    assert read(here / "crops/photograph.png").mark() is None


def test_a_mark_that_cannot_be_read_is_named_and_not_passed_on(here, caplog):
    images.save(images.load("photograph.png"), "photograph.jpg", MARK)
    data = Path("photograph.jpg").read_bytes()
    Path("photograph.jpg").write_bytes(data.replace(b"<rdf:RDF", b"<rdf:RDG"))
    run("align photograph.jpg -o crops --size 64")
    assert read(here / "crops/photograph.png").mark() is None
    assert "its XMP is no XML" in caplog.text
    assert "what is made of it carries no mark" in caplog.text


def test_a_photograph_keeps_its_colours_and_exif_and_is_not_turned_twice(here):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Copyright] = 6, "somebody"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    with Image.open("photograph.png") as image:
        upright = np.asarray(image)
        image.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif, icc_profile=profile)
    for suffix in ("png", "webp", "jpg"):
        run(f"photo turned.png {PERFORMER} -a 0 -m model -o out.{suffix}")
        with Image.open(f"out.{suffix}") as image:
            kept = image.getexif()
            assert image.info["icc_profile"] == profile
            assert ExifTags.Base.Orientation not in kept
            assert kept[ExifTags.Base.Copyright] == "somebody"
            assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
            assert image.size == (320, 180)
            if suffix != "jpg":
                assert np.array_equal(np.asarray(image), upright)
        assert read(f"out.{suffix}").synthetic


def test_a_photograph_keeps_its_xmp_below_the_mark(here):
    """The source type is ours; the creator, the rights, the caption and the camera are whose picture it was."""
    with Image.open("photograph.png") as image:
        for suffix in ("png", "jpg", "webp"):
            image.save(f"own.{suffix}")
            path = Path(f"own.{suffix}")
            path.write_bytes(recognise(path.read_bytes()).embed(path.read_bytes(), CAPTIONED))
    for suffix in ("png", "jpg", "webp"):
        run(f"photo own.{suffix} {PERFORMER} -a 0.5 -m model -o out.{suffix}")
        found, data = read(f"out.{suffix}"), Path(f"out.{suffix}").read_bytes()
        assert (found.source_type, found.alphas, found.tool) == (EDITED, (0.5,), "Camera 7")
        assert properties(recognise(data).find(data).xmp) == properties(packet(found.mark(), CAPTIONED))
        run(f"photo own.{suffix} {PERFORMER} -a 0.5 -m model -o unmarked.{suffix} --no-mark")
        assert b"<x:xmpmeta" not in Path(f"unmarked.{suffix}").read_bytes()
    for item in exiftool("-XMP:all", *(f"out.{suffix}" for suffix in ("png", "jpg", "webp"))):
        assert item["DigitalSourceType"] == EDITED
        assert item["Creator"] == ["A", "B"]
        assert (item["Rights"], item["Rights-de"]) == ("With leave only", "Nur mit Erlaubnis")
        assert item["Description"] == "Ann & Bo at sea"
        assert (item["CreatorTool"], item["Alpha"]) == ("Camera 7", [0.5])


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + FOREIGN.replace(b"Camera 7", b"&a;"), "its XMP has a document type"),
        (FOREIGN.replace(b"rdf:Seq", b"rdf:Set", 1), "its XMP is no XML"),
        (FOREIGN.replace(b"Camera 7", b"x" * 65_000), "are more than JPEG holds"),
        (b" " * (LIMIT + 1), "its XMP has more than 1,048,576 bytes"),
    ],
)
def test_xmp_that_cannot_be_passed_on_is_named_and_left_behind(here, caplog, theirs, told):
    path = Path("photograph.png")
    path.write_bytes(png.embed(path.read_bytes(), theirs))
    run(f"photo photograph.png {PERFORMER} -m model -o out.jpg")
    assert told in caplog.text
    assert "the XMP of photograph.png is left behind" in caplog.text
    assert read("out.jpg").tool == "flowxfer 0.1.0"
    assert len(Path("out.jpg").read_bytes()) < 100_000


def test_what_does_not_fit_is_left_behind(here, caplog):
    with Image.open("photograph.png") as image:
        image.convert("CMYK").save("cmyk.jpg", icc_profile=bytes(16) + b"CMYK" + bytes(108))
        exif = Image.Exif()
        exif[ExifTags.Base.ImageDescription] = "x" * 70_000
        image.save("long.png", exif=exif)
    for name in ("cmyk.jpg", "long.png"):
        run(f"photo {name} {PERFORMER} -m model -o out.jpg --force")
        with Image.open("out.jpg") as image:
            assert not {"icc_profile", "exif"} & set(image.info)


def test_options_that_contradict_each_other(here, pair):
    line = COMMANDS["mix"][0] + " -m model"
    assert "--certificate and --key together; `flowxfer provenance init`" in run(f"{line} --key {pair[1]}", 2).stderr
    both = f"{line} --certificate {pair[0]} --key {pair[1]} --no-mark"
    assert "expected --no-mark or --certificate, got both" in run(both, 2).stderr
    missing = run(f"{line} --certificate nowhere.pem --key {pair[1]}", 2).stderr
    assert missing == "flowxfer: No such file or directory: nowhere.pem\n"
    assert not Path("out.png").exists()


# ---------------------------------------------------------------- provenance show, provenance init


@pytest.mark.parametrize(("command", "example"), EXAMPLES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_help_has_an_example_that_parses(command, example):
    words = shlex.split(example)
    assert words[:3] == ["flowxfer", "provenance", command.__name__]
    assert f"Example: {example}" in " ".join(run(f"provenance {command.__name__} --help").stdout.split())
    group = typer.main.get_command(app).commands["provenance"]
    group.commands[command.__name__].make_context(command.__name__, words[3:])


def test_show(here, pair):
    path = picture(here, "face.png")
    assert run("provenance show face.png").stdout == "does not say that it is synthetic\n"
    mark(path, MARK)
    assert run("provenance show face.png").stdout.splitlines() == [
        "synthetic",
        f"source type:  {EDITED}",
        "made with:    flowxfer 0.1.0",
        f"model:        tiny & <co> {'ab' * 32}",
        "alpha:        0.4; 0.3,0.4,0.5",
    ]
    told = json.loads(run("provenance show face.png --json").stdout)
    assert told["synthetic"] is True
    assert (told["source_type"], told["alphas"], told["manifest"]) == (EDITED, [0.4, [0.3, 0.4, 0.5]], None)
    assert run(f"provenance show {film(here / 'a.mp4')}").stdout.startswith("does not say")


def test_show_validates_manifests(here, pair):
    run(f"{COMMANDS['mix'][0]} -m model --certificate {pair[0]} --key {pair[1]}")
    shown = run("provenance show out.png").stdout
    assert "C2PA:         intact, but nobody vouches for who signed it (--trust)\n" in shown
    assert "signed by:    flowxfer TEST certificate – not trusted\nwritten by:   flowxfer 0.1.0\n" in shown
    assert "failures:     signingCredential.untrusted\n" in shown
    trusted = run(f"provenance show out.png --trust {pair[0]}").stdout
    assert "C2PA:         intact, and signed by somebody you trust\n" in trusted
    assert "failures" not in trusted
    data = bytearray(Path("out.png").read_bytes())
    data[-40] ^= 1
    Path("out.png").write_bytes(data)
    assert "C2PA:         not to be believed\n" in run("provenance show out.png").stdout


def test_show_what_others_wrote_without_letting_it_steer_the_terminal(here):
    mark(picture(here, "face.png"), Mark(model="red\N{RIGHT-TO-LEFT OVERRIDE}\x9b31m" + "x" * 400))
    line = next(line for line in run("provenance show face.png").stdout.splitlines() if line.startswith("model"))
    assert line.startswith("model:        red\ufffd\ufffd31mxxx")
    assert line.endswith("x…")
    assert len(line) == 301


def test_show_names_what_it_cannot_read(here):
    path = picture(here, "face.png")
    path.write_bytes(path.read_bytes()[:-20])
    shown = run("provenance show face.png", 2)
    assert shown.stdout == ""
    assert shown.stderr.startswith("flowxfer: face.png is damaged: its chunk at byte")
    assert shown.stderr.count("\n") == 1
    assert run("provenance show nothing.png", 2).stderr == "flowxfer: No such file or directory: nothing.png\n"
    assert run("provenance show .", 2).stderr == "flowxfer: Is a directory: .\n"


def test_init_makes_a_pair_that_signs(here):
    pytest.importorskip("c2pa")
    told = run("provenance init -o certificates").stdout.split()
    assert told == ["certificates/flowxfer-test-chain.pem", "certificates/flowxfer-test-key.pem"]
    run(f"{COMMANDS['mix'][0]} -m model --certificate {told[0]} --key {told[1]}")
    assert read("out.png", trust=Path(told[0])).manifest.state == "Trusted"
    assert "exists already; --force replaces it" in run("provenance init -o certificates", 2).stderr
    run("provenance init -o certificates --force")
    assert read("out.png", trust=Path(told[0])).manifest.state == "Valid"  # another pair of the same name


def test_exiftool_reads_what_a_command_wrote(here):
    run(f"{COMMANDS['sweep'][0]} -m model")
    found = {item["SourceFile"]: item for item in exiftool("-XMP:all", *COMMANDS["sweep"][1])}
    assert {item["DigitalSourceType"] for item in found.values()} == {EDITED}
    assert found["sweep.gif"]["Alpha"] == [0, 0.5]
