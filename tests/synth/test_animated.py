import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")
pytest.importorskip("scipy", reason="the extra synth is not installed")

from flowxfer import images
from flowxfer.errors import InputError
from flowxfer.synth import NEUTRAL, expression
from flowxfer.synth.__main__ import main
from flowxfer.synth.album import Album
from flowxfer.synth.animated import animated_sheet, write_animated
from flowxfer.synth.animation import animate
from flowxfer.synth.dataset import Shoot, write_training
from flowxfer.synth.landmark_rig import Portrait

SMALL = {"groups": 3, "people": 2, "photographs": 3, "expressions": 2, "size": 32, "shard": 2}


@pytest.fixture(scope="module")
def album(folder):
    return Album.read(folder)


@pytest.fixture(scope="module")
def written(album, tmp_path_factory):
    return write_animated(tmp_path_factory.mktemp("set") / "a.npy", album, **SMALL)


def test_people_come_first_and_are_those_of_a_training_set(written, tmp_path):
    alike = {key: SMALL[key] for key in ("groups", "people", "expressions", "size", "shard")}
    training = write_training(tmp_path / "t.npy", **alike)
    for here, there in zip(written, training, strict=True):
        np.testing.assert_array_equal(np.load(here)[:, :2], np.load(there))
        truth, other = np.load(here.with_suffix(".npz")), np.load(there.with_suffix(".npz"))
        assert truth["people"] == 2
        for key in ("seeds", "strengths", "expressions"):
            np.testing.assert_array_equal(truth[key], other[key])


def test_photographs_show_what_the_truth_says(written, album):
    assert [file.name for file in written] == ["a_000.npy", "a_001.npy"]
    names = {path.name: number for number, path in enumerate(album.paths)}
    left_out = 0
    for file in written:
        pictures, truth = np.load(file), np.load(file.with_suffix(".npz"))
        assert pictures.shape[1:] == (5, 5, 32, 32, 3)
        assert truth["valid"].shape == (len(pictures), 5, 2)
        assert truth["valid"][:, :2].all()
        assert truth["pictures"].shape == (len(pictures), 3)
        for g, i, e in np.ndindex(len(pictures), 3, 2):
            portrait = album.portrait(names[str(truth["pictures"][g, i])], 256)
            shoot = Shoot.sample(int(truth["seeds"][g, i % 2]))
            full = truth["expressions"][g, e].astype(float)
            shown = [
                animate(portrait, vector, Portrait.rendered(shoot, vector, size=32))
                for vector in (NEUTRAL, full, float(truth["strengths"][g, e]) * full)
            ]
            valid = all(picture is not None for picture in shown)
            assert truth["valid"][g, 2 + i, e] == valid
            left_out += not valid
            for k, picture in zip((0, 1 + 2 * e, 2 + 2 * e), shown, strict=True):
                expected = images.load(portrait.picture if picture is None else picture, 32)
                np.testing.assert_array_equal(pictures[g, 2 + i, k], expected)
    assert left_out  # the third photograph's mouth stands open


def test_a_group_has_every_photograph_once_by_default(written, album, tmp_path):
    names = np.concatenate([np.load(file.with_suffix(".npz"))["pictures"] for file in written])
    assert all(sorted(row) == ["a.png", "b.png", "c.png"] for row in names)
    (once,) = write_animated(tmp_path / "o.npy", album, people=1, photographs=2, expressions=1, size=16)
    assert sorted(np.load(once.with_suffix(".npz"))["pictures"].ravel()[:3]) == ["a.png", "b.png", "c.png"]
    assert len(np.load(once)) == 2


def test_a_run_goes_on_where_it_stopped(written, album, tmp_path):
    def stop(done, total, rate):
        if done > 25:
            raise KeyboardInterrupt

    path = tmp_path / "a.npy"
    with pytest.raises(KeyboardInterrupt):
        write_animated(path, album, **SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []  # nothing half done
    first, second = write_animated(path, album, **SMALL)
    stamp = first.stat().st_mtime_ns
    second.unlink()
    again = write_animated(path, album, **SMALL)
    assert first.stat().st_mtime_ns == stamp
    for here, there in zip(again, written, strict=True):
        assert here.read_bytes() == there.read_bytes()


def test_a_sheet_shows_originals_and_what_becomes_of_them(album):
    sheet = animated_sheet(album, names=["open", "closed"], size=64)
    assert sheet.shape == (3 * 64, 3 * 64, 3)
    rows = sheet.reshape(3, 64, 3, 64, 3).swapaxes(1, 2)
    for number, (original, opened, closed) in zip(album.drawn(0, 0, 3), rows, strict=True):
        portrait = album.portrait(number, 64)
        np.testing.assert_array_equal(original, portrait.picture)
        np.testing.assert_array_equal(closed, animate(portrait, expression("closed")))
        assert (opened == 255).all() == (album.paths[number].name == "c.png")


def test_what_cannot_be_written_is_refused(album, tmp_path):
    with pytest.raises(InputError, match=r"a .npy and at least one group, got 'a.npz' and 1 groups of 4 people and 6"):
        write_animated(tmp_path / "a.npz", album)
    with pytest.raises(InputError, match=r"got 'a.npy' and 0 groups"):
        write_animated(tmp_path / "a.npy", album, groups=0)
    with pytest.raises(InputError, match=r"expected a size that is a multiple of 8 from 16 to 1024, got 20"):
        write_animated(tmp_path / "a.npy", album, groups=1, size=20)
    assert list(tmp_path.iterdir()) == []


# The command.


def test_the_command_writes_sets_and_names_who_has_no_face(folder, tmp_path, capsys):
    arguments = "--photos-per-group 3 --people-per-group 2 --expressions 1 --size 16".split()
    assert main(["animate", str(folder), "-o", str(tmp_path / "a.npy"), *arguments]) == 0
    assert np.load(tmp_path / "a.npy").shape == (1, 5, 3, 16, 16, 3)
    assert "passed over, for no face was found in it: wall.png\n" in capsys.readouterr().err


def test_the_command_writes_sheets(folder, tmp_path):
    assert main(["animate", str(folder), "--sheet", str(tmp_path / "s.png"), "--size", "32"]) == 0
    assert images.load(tmp_path / "s.png").shape == (3 * 32, 12 * 32, 3)


def test_a_missing_folder_is_one_sentence(tmp_path, capsys):
    assert main(["animate", str(tmp_path / "nobody"), "-o", str(tmp_path / "a.npy")]) == 1
    assert "error: expected a picture or a folder of pictures at" in capsys.readouterr().err
