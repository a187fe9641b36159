from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra synth is not installed")

from flowxfer.errors import InputError, ShapeError
from flowxfer.synth import (
    EYES,
    NAMED,
    NEUTRAL,
    Background,
    Camera,
    Light,
    Person,
    Sitter,
    Window,
    blend,
    expression,
    render,
    render_frame,
)
from flowxfer.synth.dataset import Shoot
from flowxfer.synth.projection import rotation, turn

LIGHT = Light.sample(np.random.default_rng(0), jitter=0.0)
WALL = Background((0.2, 0.3, 0.4), (0.2, 0.3, 0.4), 0.0, (0.5, 0.5, 0.3, 0.0))
SEEDS = (62, 64, 81)


@pytest.fixture(scope="module")
def sitters():
    return [Sitter.of(Person.sample(seed)) for seed in SEEDS]


def photograph(sitter, vector=NEUTRAL, *, light=LIGHT, size=64):
    return render(sitter, vector, light=light, background=WALL, size=size)


def distance(a, b):
    return np.sqrt(np.mean((a.astype(float) - b) ** 2))


def test_the_same_seed_gives_the_same_bytes():
    first, again = (Shoot.sample(5).picture(expression("smile")) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert distance(first, Shoot.sample(6).picture(expression("smile"))) > 10


def test_a_picture_does_not_depend_on_the_one_before(sitters):
    before = photograph(sitters[0])
    photograph(sitters[1], expression("open"))
    np.testing.assert_array_equal(photograph(sitters[0]), before)


@pytest.mark.parametrize("k", range(len(SEEDS)))
def test_the_eyes_are_where_openai_puts_them(sitters, k):
    """The irises, found as what changes with their colour, lie within a pixel of (.371, .480) and (.629, .480)."""
    wide = blend({"eyeWide": 1.0})
    views = []
    for brightness in (0.0, 4.0):
        person = sitters[k].person
        person = replace(person, look=person.look._replace(iris=(brightness,) * 3))
        views.append(photograph(Sitter(person, sitters[k].hair), wide, size=256).astype(float).sum(2))
    changed = np.abs(views[1] - views[0]) > 20
    for (x, y), columns in zip(EYES, (slice(0, 128), slice(128, 256)), strict=True):
        rows, across = np.nonzero(changed[:, columns])
        centre = np.array([(across.min() + across.max() + 1) / 2 + columns.start, (rows.min() + rows.max() + 1) / 2])
        np.testing.assert_allclose(centre, (256 * x, 256 * y), atol=1.0)


@pytest.mark.parametrize("name", NAMED)
def test_strength_grows_away_from_neutral(sitters, name):
    neutral = photograph(sitters[0])
    np.testing.assert_array_equal(photograph(sitters[0], expression(name, strength=0.0)), neutral)
    away = [distance(photograph(sitters[0], expression(name, strength=s)), neutral) for s in (0.25, 0.5, 0.75, 1.0)]
    assert away == sorted(away)
    assert away[-1] > 2 * away[0] > 0.4


def test_expressions_move_the_face_only(sitters):
    """Hair above the hairline, the background and the shoulders stay, pixel by pixel."""
    neutral = photograph(sitters[1], size=128)
    changed = np.zeros((128, 128), bool)
    for name in NAMED:
        changed |= (photograph(sitters[1], expression(name), size=128) != neutral).any(2)
    assert not changed[:12].any()
    assert not changed[:, :16].any()
    assert not changed[:, -16:].any()
    assert changed[40:110, 40:88].mean() > 0.5


def test_sixty_four_pixels_are_an_average_of_more(sitters):
    """Antialiased: a small picture is the mean of a large one, which no point sampling comes near."""
    small, large = photograph(sitters[2], size=64).astype(float), photograph(sitters[2], size=256).astype(float)
    mean = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert distance(small, mean) < 4.0
    assert distance(small, mean) < 0.5 * distance(small, large[1::4, 1::4])


def test_light_comes_from_where_it_stands(sitters):
    """A key light at the picture's left brightens the left cheek, and its mirror image the right one."""
    side = LIGHT._replace(key=(-0.6, 0.3, 0.74), fill_colour=(0.0, 0.0, 0.0))
    other = side._replace(key=(0.6, 0.3, 0.74))
    for light, sign in ((side, 1), (other, -1)):
        picture = photograph(sitters[1], light=light).astype(float)
        assert sign * (picture[34:46, 16:26].mean() - picture[34:46, 38:48].mean()) > 10


def test_a_positive_yaw_turns_the_nose_to_the_right():
    nose = turn(np.array([[0.0, 0.0, 1.0]]), rotation(Camera(yaw=0.2)))[0]
    np.testing.assert_allclose(nose, (np.sin(0.2), 0.0, np.cos(0.2)), atol=1e-12)
    matrix = rotation(Camera(yaw=0.3, pitch=-0.2))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)


def test_a_frame_holds_the_aligned_picture_in_its_window(sitters):
    frame = render_frame(
        sitters[0], NEUTRAL, Camera(), light=LIGHT, background=WALL, width=96, height=80, window=Window(16, 8, 64)
    )
    inside = frame[8:72, 16:80].astype(int)
    assert frame.shape == (80, 96, 3)
    assert np.mean(np.abs(inside - photograph(sitters[0])) > 1) < 1e-3


def test_a_person_will_do_for_a_sitter(sitters):
    np.testing.assert_array_equal(photograph(sitters[0].person), photograph(sitters[0]))


def test_jitter_zero_is_frontal():
    rng = np.random.default_rng(1)
    assert Camera.sample(rng, jitter=0.0) == Camera()
    assert Light.sample(rng, jitter=0.0) == LIGHT
    assert Camera.sample(rng) != Camera.sample(rng)


def test_what_cannot_be_rendered_is_refused(sitters):
    with pytest.raises(ShapeError, match=r"an expression of shape \(52,\), got \(51,\); expression\(\) and blend\(\)"):
        photograph(sitters[0], np.zeros(51))
    with pytest.raises(InputError, match="a size that is a multiple of 8 from 16 to 1024, got 100"):
        photograph(sitters[0], size=100)
