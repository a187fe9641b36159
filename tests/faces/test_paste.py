from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowxfer import images
from flowxfer.errors import InputError, ShapeError
from flowxfer.faces import Patch, align, paste_blend, paste_change, paste_crop, paste_face, patch
from tests.faces.photographs import DEMO, Planted, demo_face, face_at, photograph, placed

PHOTO = photograph(240, 200, (demo_face(), placed(120, 100, 128, 12)))
EACH = pytest.mark.parametrize("paste", [paste_change, paste_blend, paste_crop])
ALL = pytest.mark.parametrize("paste", [paste_change, paste_blend, paste_crop, paste_face])
places = st.builds(placed, st.floats(-60, 300), st.floats(-60, 260), st.floats(20, 400), st.floats(-180, 180))


def aligned_at(place, size=32, photo=PHOTO):
    return align(photo, Planted(face_at(place)), size)[0]


@EACH
@settings(max_examples=40, deadline=None)
@given(place=places, size=st.sampled_from([8, 32, 64]), feather=st.floats(0.01, 0.5))
def test_a_face_that_did_not_change_leaves_every_byte(paste, place, size, feather):
    aligned = aligned_at(place, size)
    before = PHOTO.copy()
    result = paste(PHOTO, aligned, aligned.crop, feather=feather)
    assert np.array_equal(result, before)
    assert result is not PHOTO


@ALL
@settings(max_examples=40, deadline=None)
@given(place=places, size=st.sampled_from([8, 32, 64]), seed=st.integers(0, 99))
def test_outside_of_the_crop_every_byte_stays(paste, place, size, seed):
    aligned = aligned_at(place, size)
    decoded = np.random.default_rng(seed).integers(0, 256, aligned.crop.shape, np.uint8)
    before = PHOTO.copy()
    result = paste(PHOTO, aligned, decoded)
    assert np.array_equal(before, PHOTO)
    y, x = np.mgrid[0 : PHOTO.shape[0], 0 : PHOTO.shape[1]] + 0.5
    where = aligned.transform(np.stack([x, y], axis=-1)) / size
    outside = ((where < 0) | (where > 1)).any(axis=-1)
    assert np.array_equal(result[outside], PHOTO[outside])


@settings(max_examples=25, deadline=None)
@given(st.floats(40, 400), st.floats(-180, 180), st.integers(-60, 60))
def test_a_smooth_change_arrives_in_sign_size_and_place(width, turn_degrees, strength):
    grey = np.full((260, 260, 3), 120, np.uint8)
    aligned = aligned_at(placed(130, 130, width, turn_degrees), 64, grey)
    y, x = (np.mgrid[0:64, 0:64] + 0.5) / 64

    def bump(u, v):
        return strength * np.exp(-((u - 0.4) ** 2 + (v - 0.6) ** 2) / 0.02)

    decoded = (120 + np.rint(bump(x, y)))[..., None].repeat(3, axis=2).astype(np.uint8)
    result = paste_change(grey, aligned, decoded).astype(float) - 120
    y, x = np.mgrid[0:260, 0:260] + 0.5
    where = aligned.transform(np.stack([x, y], axis=-1)) / 64
    inner = ((where > 0.16) & (where < 0.84)).all(axis=-1)  # where nothing fades
    expected = bump(where[..., 0], where[..., 1])[inner]
    assert np.abs(result[inner] - expected[:, None]).max() < 2


def test_the_detail_of_the_photograph_outlives_a_change_but_not_a_crop():
    noise = np.random.default_rng(0).integers(60, 190, (300, 300, 3), np.uint8)
    aligned = aligned_at(placed(150, 150, 256), 32, noise)
    brighter = (aligned.crop + 20).astype(np.uint8)
    changed, replaced = paste_change(noise, aligned, brighter), paste_crop(noise, aligned, brighter)
    middle = slice(110, 190)
    assert np.array_equal(changed[middle, middle], noise[middle, middle] + 20)
    assert replaced[middle, middle].std() < 0.5 * noise[middle, middle].std()
    assert replaced[middle, middle].mean() == pytest.approx(noise[middle, middle].mean() + 20, abs=2)


def test_a_blend_drops_the_old_detail_only_where_much_changed():
    noise = np.random.default_rng(0).integers(60, 190, (300, 300, 3), np.uint8)
    aligned = aligned_at(placed(150, 150, 256), 32, noise)
    decoded = aligned.crop.copy()
    decoded[:, :12] += 1
    decoded[:, 20:] += 60
    result = paste_blend(noise, aligned, decoded)
    rows, little, much = slice(110, 190), slice(70, 90), slice(215, 230)
    assert np.array_equal(result[rows, little], paste_change(noise, aligned, decoded)[rows, little])
    assert np.array_equal(result[rows, much], paste_crop(noise, aligned, decoded)[rows, much])


def test_a_blend_looks_at_each_colour():
    noise = np.random.default_rng(0).integers(60, 190, (300, 300, 3), np.uint8)
    aligned = aligned_at(placed(150, 150, 256), 32, noise)
    decoded = aligned.crop.copy()
    decoded[..., 2] += 40  # which is little in the mean of the three
    middle = np.s_[110:190, 110:190]
    assert np.array_equal(paste_blend(noise, aligned, decoded)[middle], paste_crop(noise, aligned, decoded)[middle])


@EACH
def test_the_paste_fades_out_without_a_step(paste):
    grey = np.full((300, 300, 3), 100, np.uint8)
    aligned = aligned_at(placed(150, 150, 200), 64, grey)
    result = paste(grey, aligned, np.full_like(aligned.crop, 200))
    row = result[150, :, 0].astype(int)
    assert row.max() == 200
    assert row[45] == row[255] == 100
    assert np.abs(np.diff(row)).max() <= 6  # 100 levels over 30 pixels


def test_colours_stop_at_black_and_white():
    white = np.full((100, 100, 3), 250, np.uint8)
    aligned = aligned_at(placed(50, 50, 80), 32, white)
    assert paste_change(white, aligned, np.full_like(aligned.crop, 255))[50, 50].tolist() == [255] * 3
    lighter = np.full_like(white, 3)
    aligned = aligned_at(placed(50, 50, 80), 32, lighter)
    assert paste_change(lighter, aligned, np.zeros_like(aligned.crop))[50, 50].tolist() == [0] * 3


def test_two_faces_are_pasted_one_after_the_other():
    aligned = [aligned_at(placed(x, 100, 90), 32) for x in (60, 180)]
    once = paste_change(PHOTO, aligned[0], 255 - aligned[0].crop)
    twice = paste_change(once, aligned[1], 255 - aligned[1].crop)
    other = paste_change(PHOTO, aligned[1], 255 - aligned[1].crop)
    assert np.array_equal(twice[:, :110], once[:, :110])
    assert np.array_equal(twice[:, 130:], other[:, 130:])


@ALL
def test_pixels_that_do_not_fit(paste):
    aligned = aligned_at(placed(120, 100, 128), 32)
    for wrong in (np.zeros((64, 64, 3), np.uint8), np.zeros((32, 32, 3), np.float32)):
        with pytest.raises(
            ShapeError, match=r"expected uint8 pixels of the crop's shape \(32, 32, 3\), got .*align\(\)"
        ):
            paste(PHOTO, aligned, wrong)


@EACH
@pytest.mark.parametrize("feather", [0, 0.6, float("nan")])
def test_feathers_out_of_range(paste, feather):
    aligned = aligned_at(placed(120, 100, 128), 32)
    with pytest.raises(InputError, match="expected a feather above 0 and up to 0.5 of the crop's width, got"):
        paste(PHOTO, aligned, aligned.crop, feather=feather)


def test_a_face_is_pasted_in_its_oval_only():
    grey = np.full((200, 200, 3), 100, np.uint8)
    aligned = aligned_at(placed(100, 100, 160), 64, grey)
    assert np.array_equal(paste_face(grey, aligned, aligned.crop), grey)
    added = paste_face(grey, aligned, np.full_like(aligned.crop, 180))[..., 0] - 100
    y, x = (np.mgrid[0:200, 0:200] + 0.5 - 20) / 160
    mouth, beside, brow = (np.hypot(x - u, y - v) < 0.03 for u, v in ((0.5, 0.72), (0.1, 0.6), (0.5, 0.1)))
    assert (added[mouth] == 80).all()
    assert not added[beside].any()
    assert not added[brow].any()


@pytest.mark.parametrize(
    "paste",
    [paste_change, partial(paste_change, feather=0.4), paste_face, paste_blend, partial(paste_crop, feather=0.3)],
)
def test_each_way_puts_a_patch_in(paste):
    aligned = aligned_at(placed(120, 100, 128), 32)
    decoded = 255 - aligned.crop
    made = patch(paste, aligned, decoded)
    assert isinstance(made, Patch)
    assert np.array_equal(made.on(PHOTO), paste(PHOTO, aligned, decoded))


class Unhashable:
    __hash__ = None

    def __call__(self, picture, aligned, decoded):
        return picture


def test_another_way_has_no_patch():
    aligned = aligned_at(placed(120, 100, 128), 32)
    assert patch(lambda picture, aligned, decoded: picture, aligned, aligned.crop) is None
    assert patch(partial(paste_change, PHOTO), aligned, aligned.crop) is None
    assert patch(Unhashable(), aligned, aligned.crop) is None


@pytest.mark.parametrize(("expression", "at_most"), [("closed", 0.5), ("open", 0.95), ("surprise", 0.95)])
@pytest.mark.parametrize("person", ["id1", "id2", "id3"])
def test_a_blend_comes_nearer_to_the_true_picture(person, expression, at_most):
    """The right face of 64 pixels in a picture of 256: of closed eyes not much of the open ones is left."""
    neutral, truth = (images.load(DEMO / "truth" / person / f"{name}.png") for name in ("neutral", expression))
    aligned = aligned_at(placed(128, 128, 256), 64, neutral)
    decoded = images.load(truth, 64)
    inner = np.s_[40:216, 40:216]
    blend, change = (
        ((paste(neutral, aligned, decoded)[inner] - truth[inner].astype(float)) ** 2).mean()
        for paste in (paste_blend, paste_change)
    )
    assert blend < at_most * change


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_layer_is_the_patch_at_any_density(step):
    aligned = aligned_at(placed(120, 100, 128, 10), 32)
    change = 255.0 - 2 * aligned.crop.astype(np.float32)
    made = Patch(aligned, change, None, lambda x, y: np.ones_like(x + y))
    (fine,) = made.layers(change[..., 1:2], 88, 68, 64, 64, 1)
    (coarse,) = made.layers(change[..., 1:2], 88, 68, 64 // step, 64 // step, step)
    means = fine.reshape(64 // step, step, -1, step).mean((1, 3))
    assert np.abs(coarse - means).mean() < 0.02 * np.abs(means).mean() * step**2
