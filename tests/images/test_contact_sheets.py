"""Strips, tables, sheets and GIFs: where each picture lies, and that labels are drawn where there is room for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flowxfer.errors import InputError
from flowxfer.images import contact_sheets

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200))


def plain(colour, size=64):
    return np.full((size, size, 3), colour, np.uint8)


@pytest.fixture
def faces():
    return [plain(colour) for colour in COLOURS]


def ink(image: Image.Image) -> np.ndarray:
    """Where something dark is written on the white page: (H, W), bool."""
    return np.asarray(image.convert("L")) < 80


def runs(image: Image.Image, y: int) -> list[tuple[int, int, int]]:
    """The colours that a row of pixels crosses, white left out."""
    row = [tuple(pixel) for pixel in np.asarray(image)[y].tolist()]
    return [colour for before, colour in zip([None, *row], row, strict=False) if colour not in (before, (255,) * 3)]


def test_a_strip_shows_every_picture_in_order_above_its_label(faces):
    image = contact_sheets.strip(faces, list("abcde"))
    assert runs(image, 60) == list(COLOURS)
    below = ink(image)[4 + 128 :]
    assert below.any()
    columns = np.flatnonzero(below.any(axis=0))
    centres = [4 + 64 + 132 * index for index in range(5)]
    assert all(min(abs(columns - centre)) < 8 for centre in centres)
    assert all(min(abs(columns - (centre + 66))) > 40 for centre in centres)


@pytest.mark.parametrize(("size", "shown"), [(32, 128), (64, 128), (100, 200), (128, 128), (256, 256)])
def test_small_faces_are_enlarged_by_a_whole_factor(size, shown):
    image = contact_sheets.sheet([plain(COLOURS[0], size)])
    across = [tuple(pixel) for pixel in np.asarray(image)[image.height // 2].tolist()]
    assert across.count(COLOURS[0]) == shown


def test_a_label_too_long_is_cut_to_its_picture(faces):
    image = contact_sheets.strip(faces[:2], ["a very long label that would run into its neighbour", ""])
    columns = np.flatnonzero(ink(image)[4 + 128 :].any(axis=0))
    assert columns.max() < 4 + 128
    assert columns.max() - columns.min() > 80


def test_a_sheet_is_about_square(faces):
    image = contact_sheets.sheet(faces)
    assert runs(image, 60) == list(COLOURS[:3])
    assert runs(image, 60 + 132) == list(COLOURS[3:])
    assert image.size == (4 + 3 * 132, 4 + 2 * 132)


def test_a_table_parts_its_groups(faces):
    image = contact_sheets.table([faces, faces[::-1]], {"performer": ["neutral", "smile"], "result": ["a", "b", "c"]})
    assert runs(image, image.height - 60) == list(COLOURS[::-1])
    top = np.asarray(image)[image.height - 60 - 132]
    starts = np.flatnonzero((top[1:] != top[:-1]).any(axis=1) & (top[:-1] == 255).all(axis=1))
    assert np.diff(starts).tolist() == [132, 132 + 12, 132, 132]
    assert ink(image)[: image.height - 2 * 132].any()


def test_a_gif_runs_there_and_back(tmp_path, faces):
    path = tmp_path / "sweep.gif"
    contact_sheets.gif(faces, path, fps=10)
    with Image.open(path) as animation:
        assert animation.n_frames == 8
        assert animation.info["loop"] == 0
        seen = []
        for index in range(animation.n_frames):
            animation.seek(index)
            assert animation.info["duration"] == 100
            seen.append(np.asarray(animation.convert("RGB"))[60, 60].astype(int))
    expected = [*COLOURS, *COLOURS[-2:0:-1]]
    assert np.abs(np.array(seen) - expected).max() <= 4
    assert list(tmp_path.iterdir()) == [path]


def test_a_gif_of_one_picture(tmp_path, faces):
    contact_sheets.gif(faces[:1], tmp_path / "still.gif")
    with Image.open(tmp_path / "still.gif") as still:
        assert still.size == (128, 128)


def test_errors(tmp_path, faces):
    with pytest.raises(InputError, match="expected pictures and a label for each, got 5 pictures, 1 labels"):
        contact_sheets.strip(faces, ["one"])
    with pytest.raises(InputError, match="expected pictures and a label for each, got 0 pictures"):
        contact_sheets.strip([], [])
    with pytest.raises(InputError, match=r"expected rows of 2 pictures, got rows of \[5\]"):
        contact_sheets.table([faces], {"a": ["b", "c"]})
    with pytest.raises(InputError, match="expected at least one picture and 1 to 50 fps, got 0 pictures, 12 fps"):
        contact_sheets.gif([], tmp_path / "none.gif")
    with pytest.raises(InputError, match="got 5 pictures, 100 fps"):
        contact_sheets.gif(faces, tmp_path / "fast.gif", fps=100)
    assert not list(tmp_path.iterdir())
