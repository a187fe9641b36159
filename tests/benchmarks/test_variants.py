from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from flowxfer.benchmarks import equations, variants
from flowxfer.benchmarks.equations import Half
from flowxfer.benchmarks.variants import BEGIN, END, compare, main, markdown, measure, tuned
from flowxfer.errors import InputError
from flowxfer.evaluation.fidelity import drift, relative_error
from flowxfer.images.heldout import HeldOut
from flowxfer.latents import Latents

SIZE, PEOPLE = 8, 6


class Plain:
    """A flow whose latents are the pixels: red is the finest level, green and blue the next."""

    size = SIZE
    manifest = SimpleNamespace(model_hash="plain", name="plain")

    def encode(self, faces):
        z = np.moveaxis(faces.astype(np.float64), -1, 1)
        return Latents([z[:, :1], z[:, 1:]], "plain")

    def decode(self, latents):
        return np.moveaxis(np.concatenate(latents.levels, 1), 1, -1).round().clip(0, 255).astype(np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def people(rng):
    """Smiles brighten the lower half by 60, winks the upper left quarter, for everybody; strengths are linear."""
    neutral = rng.integers(60, 120, (PEOPLE, SIZE, SIZE, 3))
    change = np.zeros((2, SIZE, SIZE, 3))
    change[0, 4:], change[1, :4, :4] = 60, 60
    strengths = np.array([0.5, 1.0])
    expressions = neutral[:, None, None] + strengths[:, None, None, None] * change[:, None]
    names, seeds = ("smile", "wink"), np.arange(PEOPLE)
    return HeldOut(names, strengths, seeds, neutral.astype(np.uint8), expressions.astype(np.uint8))


@pytest.fixture
def half(people):
    return Half(Plain(), people)


def flat(levels):
    return np.concatenate([level.reshape(*level.shape[:2], -1) for level in levels], 2)


def test_the_performer_is_the_next_person(half):
    for level, own in zip(equations.equation(half), half.vectors, strict=True):
        np.testing.assert_array_equal(level[:-1], own[1:])
        np.testing.assert_array_equal(level[-1], own[0])


def test_where_everybody_moves_alike_the_equation_finds_the_truth(half):
    np.testing.assert_array_equal(half.transfer(equations.equation(half)), half.people.truth)
    np.testing.assert_array_equal(half.transfer(equations.equation(half), [0.0, 0.0])[:, 0], half.people.neutral)


@pytest.mark.parametrize("method", [equations.people(3), equations.strengths, equations.local, equations.people(1)])
def test_and_so_do_the_means(half, method):
    np.testing.assert_allclose(flat(method(half)), flat(equations.equation(half)))


def test_the_mean_of_people_is_of_the_next_ones(half, rng):
    half.__dict__["vectors"] = [rng.normal(size=level.shape) for level in half.vectors]
    expected = (flat(half.vectors)[1] + flat(half.vectors)[2]) / 2
    np.testing.assert_allclose(flat(equations.people(2)(half))[0], expected)


def test_nudged_vectors_are_smoothed_ones(half):
    red = half.nudged_vectors[0][0, 0, 0]
    assert red[3, 4] == pytest.approx(60 / 5)  # just above the change, one of the five copies has it
    assert red[4, 4] == pytest.approx(60 * 4 / 5)
    assert red[6, 4] == pytest.approx(60)
    np.testing.assert_allclose(flat(equations.nudged_people(1)(half)), flat(equations.nudged_performer(half)))


def test_a_mirror_image_is_taken_of_symmetric_expressions_alone(half):
    smile, wink = np.moveaxis(equations.mirrored_performer(half)[0], 1, 0)
    np.testing.assert_allclose(smile, equations.equation(half)[0][:, 0])
    assert (wink[:, 0, :4, 4:] == 0).all()
    half.people.__dict__["names"] = ("smile", "one brow")
    brow = equations.mirrored_performer(half)[0][:, 1]
    np.testing.assert_allclose(brow[:, 0, :4, 4:], 30)


def test_two_lights_are_averaged(half, people):
    brighter = people.expressions.copy()
    brighter[:, :, -1, 4:] += 20
    elsewhere = dataclasses.replace(people, expressions=brighter)
    vectors = equations.two_lights(Half(half.flow, people, elsewhere))
    assert vectors[0][0, 0, 0, 6, 0] == 70


def test_what_lies_along_identity_is_removed(half, rng):
    half.__dict__["vectors"] = [rng.normal(size=level.shape) for level in half.vectors]
    left = flat(equations.without_identity(half))
    away = flat([(n - np.roll(n, -1, 0))[:, None] for n in half.neutral])
    np.testing.assert_allclose((left * away).sum(-1), 0, atol=1e-9)
    removed = flat(equations.equation(half)) - left
    np.testing.assert_allclose(
        np.abs((removed * away).sum(-1)), np.linalg.norm(removed, axis=-1) * np.linalg.norm(away, axis=-1)
    )


def test_what_lies_in_the_span_of_identities_is_removed(half, rng):
    half.__dict__["vectors"] = [rng.normal(size=level.shape) for level in half.vectors]
    for left, whole, neutral in zip(
        equations.without_identities(half, PEOPLE - 1)(half), equations.equation(half), half.neutral, strict=True
    ):
        faces = (neutral - neutral.mean(0)).reshape(PEOPLE, -1)
        np.testing.assert_allclose(left.reshape(-1, faces.shape[1]) @ faces.T, 0, atol=1e-9)
        assert np.linalg.norm(left) < np.linalg.norm(whole)


def test_norms_become_those_of_others(half, people):
    doubled = people.expressions.astype(int) + (people.expressions.astype(int) - people.neutral[:, None, None])
    others = Half(half.flow, dataclasses.replace(people, expressions=doubled.astype(np.uint8)))
    np.testing.assert_allclose(flat(equations.at_norm(others)(half)), 2 * flat(equations.equation(half)))


def test_alpha_is_chosen_for_a_given_distance(half, people):
    class Brightness:
        scale = "brightness"

        def embed(self, pictures):
            return np.array([[float(picture.mean())] for picture in pictures])

    weaker = people.expressions.astype(float) * 0.8 + people.neutral[:, None, None] * 0.2
    others = Half(half.flow, dataclasses.replace(people, expressions=weaker.round().astype(np.uint8)))
    vectors = equations.at_distance(others, Brightness())(half)
    np.testing.assert_allclose(flat(vectors), 0.8 * flat(equations.equation(half)), atol=1)


def test_only_where_the_performer_changes(half, people, rng):
    half.__dict__["vectors"] = [np.ones(level.shape) for level in half.vectors]
    smile = equations.local(half)[0][0, 0, 0]
    assert smile.all()  # three pixels around the lower half, whose region is one wider, are everything
    wide = HeldOut(
        *(people.names, people.strengths, people.seeds),
        *(p.repeat(2, -2).repeat(2, -3) for p in (people.neutral, people.expressions)),
    )
    half = Half(half.flow, wide)
    half.__dict__["vectors"] = [np.ones(level.shape) for level in half.vectors]
    smile = equations.local(half)[0][0, 0, 0]
    assert (smile[:4] == 0).all()
    assert (smile[4:] == 1).all()


def test_a_level_that_only_disturbs_is_tuned_away(half, rng):
    red, others = equations.equation(half)
    vectors = [40 * rng.choice([-1.0, 1.0], red.shape), 0.5 * others]
    alphas = tuned(half, vectors, [[0], [1]])
    assert alphas[1] == pytest.approx(2, abs=0.1)
    assert abs(alphas[0]) < 0.4  # by chance the signs have something of the change, of which there is no more
    one = tuned(half, [0.5 * red, 0.5 * others], [[0, 1]])
    np.testing.assert_allclose(one, 2, atol=0.05)


def test_sums_are_those_of_the_measures(half):
    made = half.transfer(equations.equation(half), [0.5, 0.7])
    sums = measure(half, made).sum(0)
    for index in range(2):
        truth, neutral, region = half.people.truth[:, index], half.people.neutral, half.region[:, index]
        figures = [sums[index, 0] / sums[index, 1], sums[index, 2] / sums[index, 3]]
        assert figures[0] == pytest.approx(relative_error(made[:, index], truth, neutral, region))
        assert figures[1] == pytest.approx(relative_error(made[:, index], truth, neutral, np.ones_like(region)))
        assert np.sqrt(sums[index, 4] / sums[index, 5]) == pytest.approx(drift(made[:, index], neutral, region))


def test_what_is_better_for_everybody_helps_and_what_is_not_does_not(people, rng):
    noisy = people.expressions.astype(int) + rng.integers(-30, 31, people.expressions.shape)
    noisy[:, :, :, :2] = people.expressions[:, :, :, :2]
    found = compare(Plain(), dataclasses.replace(people, expressions=noisy.clip(0, 255).astype(np.uint8)))
    by_name = {variant.name: variant for variant in found}
    assert found[0].name == "the equation, alpha 1"
    np.testing.assert_array_equal(found[0].low[:3], 0)
    assert not found[0].helps
    mean = by_name["mean of 2 people"]
    assert mean.figures[0] < found[0].figures[0]
    assert mean.helps
    assert mean.low[0] <= mean.figures[0] - found[0].figures[0] <= mean.high[0] < 0
    assert all(np.isnan(variant.figures[3]) for variant in found)
    text = markdown(found)
    assert len(text.splitlines()) > len(found)
    for variant, line in zip(found, text.splitlines()[2:], strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:2] == [variant.name, f"{variant.figures[0]:.3f}"]
        assert cells[-1] == ("" if variant is found[0] else "yes" if variant.helps else "no")


def test_likeness_and_other_light_add_to_the_table(people):
    class Brightness:
        scale = "brightness"

        def embed(self, pictures):
            return np.array([[float(picture.mean())] for picture in pictures])

    told = []
    found = compare(Plain(), people, people, embedder=Brightness(), progress=told.append)
    assert [variant.name for variant in found] == told
    assert {"performer in two lights", "alpha per picture: same likeness"} <= set(told)
    assert found[0].figures[3] == 0
    assert "| likeness | difference |" in markdown(found)


def save(path, people):
    count = len(people)
    pictures = people.expressions.reshape(count, -1, *people.neutral.shape[1:])
    np.save(path, np.concatenate([people.neutral[:, None], pictures], 1))
    truth = {"names": np.array(people.names), "strengths": people.strengths, "seeds": people.seeds}
    np.savez(path.with_suffix(".npz"), **truth)
    return path


def test_held_out_people_are_read(people, tmp_path):
    read = HeldOut.read(save(tmp_path / "people.npy", people))
    np.testing.assert_array_equal(read.expressions, people.expressions)
    np.testing.assert_array_equal(read.truth, people.expressions[:, :, 1])
    assert (len(read), len(read[2:]), read.names) == (PEOPLE, 4, ("smile", "wink"))
    np.testing.assert_array_equal(read[2:].seeds, [2, 3, 4, 5])


def test_the_command_fills_what_stands_between_the_comments(people, tiny_bundle, tmp_path, capsys):
    large = [pictures.repeat(4, -2).repeat(4, -3) for pictures in (people.neutral[:4], people.expressions[:4])]
    path = save(tmp_path / "people.npy", HeldOut(people.names, people.strengths, people.seeds[:4], *large))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(path), "-m", str(tiny_bundle), "-o", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\ntiny (")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "tuned on 2 people, reported on 2 others, 2 expressions" in capsys.readouterr().out
    assert main([str(path), "-m", str(tiny_bundle), "-o", str(tmp_path / "new.md")]) == 0
    assert (tmp_path / "new.md").read_text().startswith(BEGIN)


def test_what_does_not_fit_is_refused(people, tmp_path, capsys):
    with pytest.raises(InputError, match="expected the same people in another light"):
        compare(Plain(), people, dataclasses.replace(people, seeds=people.seeds + 1))
    larger = dataclasses.replace(people, neutral=people.neutral.repeat(2, 1))
    with pytest.raises(InputError, match="expected pictures of 8 pixels for this model, got 16"):
        compare(Plain(), larger)
    assert main([str(tmp_path / "nowhere.npy"), "-o", str(tmp_path / "a.md")]) == 2
    assert "expected held-out people and their .npz at" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"expected uint8 pictures \(P, 5, S, S, 3\) of 4 people or more"):
        HeldOut.read(save(tmp_path / "few.npy", people[:3]))
    (tmp_path / "page.md").write_text("no comments")
    with pytest.raises(InputError, match="once each in .*page.md, or no such file"):
        variants._fill(tmp_path / "page.md", "text")
