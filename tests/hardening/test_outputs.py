"""Nothing of a user's is lost: what exists is replaced with --force only, an input never, and links stay links."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest
from typer.testing import CliRunner

from flowxfer import files, images
from flowxfer.cli import app, photo
from flowxfer.cli import video as films
from flowxfer.engines.probes import probe
from flowxfer.errors import InputError, VideoError
from flowxfer.video import open_sink, open_source
from tests.video.beacons import HEIGHT, WIDTH, Beacons, walk
from tests.video.films import make_film

runner = CliRunner()
SIZE = 32


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_bundle):
    """A working folder with aligned faces, a film, somebody's notes, and links to all of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(films, "find_by", lambda name: Beacons())
    monkeypatch.setattr(photo, "find_by", lambda name: Beacons())
    for index, name in enumerate(("me", "smile", "neutral")):
        images.save(probe("photograph", SIZE, index), tmp_path / f"{name}.png")
    lossless = {"codec": "ffv1", "pixel_format": "yuv444p", "size": (HEIGHT, WIDTH)}
    make_film(tmp_path / "film.mkv", pictures=walk(4), frames=4, **lossless)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model").symlink_to(tiny_bundle)
    return tmp_path


def run(line, status=0):
    result = runner.invoke(app, shlex.split(line))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def contents():
    return {path: path.read_bytes() for path in sorted(files.Path.cwd().rglob("*")) if path.is_file()}


def refused(line):
    before = contents()
    sentence = run(line, 2).stderr
    assert sentence.count("\n") == 1
    assert contents() == before
    return sentence


PERFORMER = "-e smile.png -n neutral.png -m model"
FILM = f"video film.mkv {PERFORMER} --detector mtcnn --codec ffv1 -o out.mkv"


# ---------------------------------------------------------------- what is there


def test_a_log_that_is_there_stays(here):
    assert "expected nothing at notes.txt, got a file" in refused(f"{FILM} --log notes.txt")
    run(f"{FILM} --log notes.txt --force")
    assert len((here / "notes.txt").read_text().splitlines()) == 4


def test_a_preview_that_is_there_stays(here):
    (here / "out.preview.png").write_text("mine")
    assert "expected nothing at out.preview.png, got a file" in refused(f"{FILM} --preview 1")
    run(f"{FILM} --preview 1 --force")
    assert images.load("out.preview.png").shape[2] == 3


@pytest.mark.parametrize("name", ["results.json", "report.html"])
def test_a_measurement_that_is_there_stays(here, name):
    pytest.importorskip("matplotlib")
    (here / "bench").mkdir()
    (here / "bench" / name).write_text("mine")
    assert f"bench/{name} exists already" in run("bench --quick", 2).stderr
    assert (here / "bench" / name).read_text() == "mine"


def test_weights_that_are_there_stay(here):
    pytest.importorskip("torch")
    (here / "run").mkdir()
    (here / "run" / "model.safetensors").write_text("mine")
    (here / "t.toml").write_text(
        f'output = "run"\nfaces = "{here}"\nsteps = 1\nbatch = 2\n[model]\nimage_size = {SIZE}\nlevels = 2\ndepth = 1\n'
        "width = 8\n"
    )
    assert "expected no weights in run" in run("train t.toml", 2).stderr
    assert (here / "run" / "model.safetensors").read_text() == "mine"


@pytest.mark.parametrize("there", ["run.json", "results/mine.txt", "evaluation/likeness.csv"])
def test_the_papers_experiment_takes_no_other_folder(here, there):
    path = here / "out" / there
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": "mine"}))
    assert "expected a new folder or that of an earlier run" in refused("paper -o out")


# ---------------------------------------------------------------- what is an input


@pytest.mark.parametrize(
    "line",
    [
        f"transfer -t me.png {PERFORMER} -o smile.png",
        f"transfer -t me.png {PERFORMER} -o neutral.png",
        f"transfer -t . {PERFORMER} -o .",
        f"sweep -t alpha_0.50.png {PERFORMER} -a 0.50 -o .",
        "mix me.png smile.png -m model -o smile.png",
        "mean me.png smile.png -m model -o me.png",
        f"photo me.png {PERFORMER} -o me.png",
        f"photo me.png {PERFORMER} -o key.png --certificate cert.png --key key.png",
        f"batch me.png {PERFORMER} -o .",
        f"batch me.png {PERFORMER} -o . --photo",
        "align me.png -o .",
        FILM.replace("out.mkv", "film.mkv"),
        f"{FILM} --log film.mkv",
        f"{FILM} --log smile.png",
        f"{FILM} --log out.mkv",
        f"{FILM} --preview 1 --reference out.preview.png",
        "video me.png --driver film.mkv -m model --codec ffv1 --detector mtcnn -o film.mkv",
    ],
    ids=lambda line: line.replace(PERFORMER, "…")[:60],
)
@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_an_input_is_never_replaced(here, line, link):
    for name in ("alpha_0.50.png", "key.png", "cert.png", "out.preview.png"):
        (here / name).write_bytes((here / "me.png").read_bytes())
    if link:  # the output is another name of the input
        output = line.split(" --log ")[-1].split()[0] if "--log" in line else line.split(" -o ")[1].split()[0]
        if output in (".", "out.mkv"):
            return
        name = f"other{files.Path(output).suffix}"
        link(here / output, here / name)
        line = name.join(line.rsplit(output, 1))
    sentence = refused(f"{line} --force")
    assert "for each output, got" in sentence or "beside the inputs, got" in sentence or "of its own for" in sentence


# ---------------------------------------------------------------- links, pipes and devices


@pytest.mark.parametrize("line", [f"transfer -t me.png {PERFORMER} -o link.png", "encode me.png -m model -o link.st"])
def test_a_link_stays_and_its_target_is_written(here, line):
    line = line.replace("link.st", "link.safetensors")
    link = here / line.split()[-1]
    target = here / "elsewhere" / f"target{link.suffix}"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert "exists already" in refused(line)
    run(f"{line} --force")
    assert link.is_symlink()
    assert target.stat().st_size > 100
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_film_through_a_link(here):
    (here / "elsewhere").mkdir()
    target = here / "elsewhere" / "target.mkv"
    target.write_text("old")
    (here / "out.mkv").symlink_to(target)
    (here / "log.jsonl").symlink_to(here / "notes.txt")
    run(f"{FILM} --log log.jsonl --force")
    assert (here / "out.mkv").is_symlink()
    assert (here / "log.jsonl").is_symlink()
    assert len((here / "notes.txt").read_text().splitlines()) == 4
    with open_source(target) as film:
        assert len(list(film.frames())) == 4
    assert sorted(path.name for path in (here / "elsewhere").iterdir()) == ["target.mkv"]


def test_a_link_to_nothing_is_refused(here):
    (here / "out.png").symlink_to("nowhere/out.png")
    (here / "round.png").symlink_to("round.png")
    assert "got a link to nothing" in refused(f"transfer -t me.png {PERFORMER} -o out.png")
    assert "link" in refused(f"transfer -t me.png {PERFORMER} -o round.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("line", [f"transfer -t me.png {PERFORMER} -o pipe.png", f"{FILM} --log pipe.png"])
def test_a_pipe_gets_the_bytes(here, line):
    os.mkfifo(here / "pipe.png")
    got = []
    reader = threading.Thread(target=lambda: got.append((here / "pipe.png").read_bytes()))
    reader.start()
    run(line)
    reader.join(10)
    assert stat.S_ISFIFO((here / "pipe.png").stat().st_mode)
    assert got[0].startswith(b'{"frame": 0' if "--log" in line else b"\x89PNG")


@pytest.mark.skipif(not os.path.exists("/dev/null") or os.getuid() != 0, reason="only root makes devices")
def test_a_device_stays_one(here):
    try:
        os.mknod(here / "null.png", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (here / "null.png").write_bytes(b"")
    except OSError:
        pytest.skip("this machine lets nobody make devices")
    run(f"transfer -t me.png {PERFORMER} -o null.png")
    run(f"{FILM} --log null.png")
    assert stat.S_ISCHR((here / "null.png").stat().st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="this system has no such names")
def test_what_a_process_has_open_is_written_into(tmp_path):
    """A log to /dev/stdout that the shell sends to a file: replacing that would leave the shell with another one."""
    program = "from pathlib import Path; from flowxfer.files import replacing\n" + (
        "with replacing(Path('/dev/stdout')) as new: new.write_text('whole')"
    )
    with (tmp_path / "out.txt").open("wb") as out:
        out.write(b"before, ")
        out.flush()
        inode = os.fstat(out.fileno()).st_ino
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
        assert os.stat(tmp_path / "out.txt").st_ino == inode


# ---------------------------------------------------------------- in Python


def test_a_sink_loses_nothing_either(here):
    source = open_source("film.mkv")
    for options in ({"log": "notes.txt"}, {"log": "film.mkv", "overwrite": True}, {"log": "o.mkv", "overwrite": True}):
        with pytest.raises(VideoError, match=r"expected (nothing at notes.txt|a name of its own)"):
            open_sink("o.mkv", source, codec="ffv1", **options)
    (here / "smile.mkv").write_text("mine")
    with pytest.raises(VideoError, match="expected a name of its own for each output, got"):
        open_sink("smile.mkv", source, overwrite=True, keep=[here / "smile.mkv"])
    (here / "plain").write_text("mine")
    with pytest.raises(VideoError, match="expected a folder for pictures, or nothing, at plain, got a file"):
        open_sink("plain", source, overwrite=True)
    (here / "frames").mkdir()
    (here / "frames" / "frame_000001.png").symlink_to(here / "smile.png")
    with pytest.raises(VideoError, match="expected a name of its own for each output, got"):
        open_sink("frames", source, overwrite=True, keep=[here / "smile.png"])


def test_a_name_twice(here):
    line = "encode me.png -m model -o z.safetensors --openai z.safetensors"
    assert "expected a name of its own for each output" in refused(line)


def test_replacing_a_loop_of_links(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises((InputError, OSError)), files.replacing(tmp_path / "a"):
        pass
    assert np.all([(tmp_path / name).is_symlink() for name in "ab"])
