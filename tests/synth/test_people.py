import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")

from flowxfer.errors import MissingExtraError
from flowxfer.synth import Person
from flowxfer.synth.distribution import count_people, markdown_table
from flowxfer.synth.hair import grow_hair, hairline
from flowxfer.synth.head import EYE, Head
from flowxfer.synth.head_cache import load_head
from flowxfer.synth.people import HAIR_COLOURS, HAIR_STYLES


@pytest.fixture(scope="module")
def crowd():
    return [Person.sample(1_000_000 + i) for i in range(300)]


def test_a_seed_is_a_person():
    first, again, other = Person.sample(7), Person.sample(7), Person.sample(8)
    np.testing.assert_array_equal(first.rest, again.rest)
    assert first.look == again.look
    assert np.abs(first.rest - other.rest).max() > 0.01
    assert first.look != other.look


def test_a_face_is_symmetric_where_the_mesh_is(head):
    """Local changes come in pairs: a person's eyeballs are mirror images."""
    rest = Person.sample(3).rest
    left, right = (rest[eye].mean(0) for eye in head.eyes)
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)


def test_the_crowd_is_wide(crowd):
    counts = count_people(crowd)
    assert all(sum(values.values()) == len(crowd) for values in counts.values())
    assert min(counts["skin tone (ITA)"].values()) > 0.03 * len(crowd)
    assert min(counts["age"].values()) > 0.10 * len(crowd)
    assert min(counts["sex"].values()) > 0.40 * len(crowd)
    assert min(counts["ancestry (largest share)"].values()) > 0.22 * len(crowd)
    assert set(counts["hair style"]) == set(HAIR_STYLES)
    assert set(counts["hair colour"]) == set(HAIR_COLOURS)
    assert min(counts["hair style"].values()) > 3
    assert min(counts["hair colour"].values()) > 3
    assert min(counts["beard"].values()) > 0.05 * len(crowd)


def test_faces_differ_in_shape(crowd, head):
    """The heads' widths, in distances between the eyes, spread by more than 2 %."""
    widths = [np.ptp(p.rest[head.template[:, 1] > 6.5, 0]) / p.scale for p in crowd[:60]]
    assert np.std(widths) / np.mean(widths) > 0.02


def test_darker_skin_has_a_later_class(crowd):
    order = ["very light", "light", "intermediate", "tan", "brown", "dark"]
    brightness = {tone: np.mean([p.look.skin[1] for p in crowd if p.skin_tone() == tone]) for tone in order}
    assert sorted(order, key=lambda tone: -brightness[tone]) == order


def test_only_men_have_beards_and_only_the_old_are_wrinkled(crowd):
    assert {p.sex for p in crowd if p.look.beard} == {"male"}
    assert max(p.age_years for p in crowd if p.look.wrinkles == 0) <= 36


def test_the_table_has_one_row_per_value():
    table = markdown_table({"sex": {"female": 3, "male": 1}})
    assert table.splitlines()[2:] == ["| sex | female | 3 | 75.0 % |", "| sex | male | 1 | 25.0 % |"]


def test_hair_grows_on_the_scalp_only(head):
    inside = hairline(head, 0.0, 0.3)
    assert (inside[head.template[:, 1] > 8.3] > 0).mean() > 0.95
    assert not (inside[np.unique(head.triangles[head.materials == EYE])] > 0).any()
    assert not (inside[head.masks[:, 3] > 0.5] > 0).any()


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_style_grows(crowd, style):
    hair = grow_hair(next(p for p in crowd if p.hair_style == style))
    assert (len(hair.triangles) == 0) == (style == "bald")
    assert np.isfinite(hair.offsets).all()
    assert hair.triangles.size == 0 or hair.triangles.max() < len(hair.roots)


def test_without_anny_one_sentence_names_the_extra(monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingExtraError, match=r"needs anny, .* pip install 'flowxfer\[synth\]'"):
        load_head.__wrapped__()


def test_without_numba_one_sentence_names_the_extra(monkeypatch):
    import runpy
    import sys

    from flowxfer.synth import noise

    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtraError, match=r"needs numba, .* pip install 'flowxfer\[synth\]'"):
        runpy.run_path(noise.__file__)


def test_the_head_is_what_its_docstring_says(head):
    n = len(head.template)
    assert isinstance(head, Head)
    assert head.actions.shape == (52, n, 3)
    assert head.corners.shape == (2, 3, 3, 3, 3, n, 3)
    assert head.triangles.max() == n - 1
    assert head.occlusion.min() >= 0
    assert head.occlusion.max() <= 1
    for eye, x in zip(head.eyes, (0.31, -0.31), strict=True):
        np.testing.assert_allclose(head.template[eye].mean(0)[:2], (x, 7.28), atol=0.02)
