from __future__ import annotations

import base64
import csv
import io
import json
import math
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.evaluation.action_units import INTENSITIES, ActionUnits
from flowxfer.evaluation.cast import Cast
from flowxfer.evaluation.fidelity import Fidelity
from flowxfer.evaluation.judging import LikenessRow, ScoreRow
from flowxfer.evaluation.layout import Layout
from flowxfer.evaluation.paper import run
from flowxfer.evaluation.report import write_report
from flowxfer.evaluation.report.tradeoff import recommend, strengths
from flowxfer.evaluation.tables import read_tidy, write_tidy
from flowxfer.provenance import EDITED, GENERATED, Mark, Marks, mark, read

ALPHAS = (0.3, 0.5)
SIZE = 32
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tables by caption, pictures, addresses and text; and that every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tables, self.images, self.addresses, self.ids, self.text = [], {}, [], [], [], ""
        self.labels = []
        self._rows = self._cell = None
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.addresses += [value for key, value in attributes.items() if key in ("src", "href", "xlink:href")]
        self.labels += [attributes["aria-label"]] if attributes.get("role") == "img" else []
        if tag == "img":
            self.images.append(attributes)
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, text):
        if "style" in self.open:
            assert "url(http" not in text
            assert "@import" not in text
            return
        self.text += text
        if self.open and self.open[-1] == "caption":
            self._caption += text
        elif {"td", "th"} & set(self.open):
            self._rows[-1][-1] += text


class Brightness:
    """Stands for an embedder and for a meter; a black picture has no face."""

    scale = "brightness"

    def embed(self, pictures):
        return np.array([[float(picture.mean()) or np.nan] for picture in pictures]).reshape(-1, 1)

    def measure(self, pictures, raw=None):
        faces = ActionUnits.not_measured(len(pictures))
        for index, path in enumerate(pictures):
            faces.intensities[index] = images.load(path)[:17, 0, 0] / 51
        return faces


@pytest.fixture(scope="module")
def cast(tmp_path_factory):
    """Ann, Bo and, who performs, <b>."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("people")
    names = [f"id{who}_aligned/{n}" for who in ("1", "2", "<b>") for n in (1, 2)]
    for name in [*names, "expressions/smile $1", "expressions/a & b"]:
        images.save(rng.integers(60, 200, (SIZE, SIZE, 3), dtype=np.uint8), root / f"{name}.png")
    return Cast.read(root)


@pytest.fixture
def page(tmp_path):
    def read(folder):
        write_report(folder, tmp_path / "page.html")
        return Page((tmp_path / "page.html").read_text())

    return read


@pytest.fixture(scope="module")
def complete(tiny_transferer, cast, tmp_path_factory):
    """A run with everything measured."""
    out = tmp_path_factory.mktemp("complete")
    run(tiny_transferer, cast, out, alphas=ALPHAS, embedder=Brightness(), meter=Brightness())
    rows = [Fidelity(m, a, "smile", "id1", *np.arange(1.0, 10.0) * a) for m in ("equation", "pixels") for a in (0.5, 1)]
    write_tidy(rows, out / "fidelity.csv")
    return out


@pytest.fixture
def copied(complete, tmp_path):
    for path in complete.rglob("*"):
        if path.is_file():
            target = tmp_path / "copied" / path.relative_to(complete)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "copied"


def table(page, caption):
    (found,) = [rows for name, rows in page.tables.items() if name.startswith(caption)]
    return found


def rows_of(folder, name):
    with open(Layout(folder).tidy(name), newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_needs_nothing_from_outside(complete, page):
    found = page(complete)
    assert found.addresses
    assert all(address.startswith(("#", "data:image/webp;base64,")) for address in found.addresses)
    assert {address[1:] for address in found.addresses if address[0] == "#"} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_every_picture_and_plot_says_what_it_shows(complete, page):
    found = page(complete)
    assert len(found.images) == 2 + 2 * 2  # each expression, and each target with it
    assert all(len(picture["alt"]) > 15 for picture in found.images)
    assert "id1’s mean face, then with smile $1 at alpha 0.3, 0.5, from left to right" in [
        i["alt"] for i in found.images
    ]
    assert len(found.labels) == 2 + 1 + 2 + 1  # trade-off, likeness, a profile for each expression, fidelity
    assert all(label.startswith("Plot: ") for label in found.labels)


def test_the_pictures_say_that_they_are_synthetic(complete, copied, page, tiny_transferer, tmp_path):
    """Strips always; the performer's pictures as far as they said so before."""
    model = tiny_transferer.manifest

    def marks_of(found):
        for index, picture in enumerate(found.images):
            (tmp_path / f"{index}.webp").write_bytes(base64.b64decode(picture["src"].partition(",")[2]))
            yield "then with" in picture["alt"], read(tmp_path / f"{index}.webp").mark()

    strip = Mark(EDITED, "tiny", model.model_hash, ALPHAS)
    assert list(marks_of(page(complete))) == [(False, None), (True, strip), (True, strip)] * 2
    for path in copied.rglob("smile $1.png"):
        mark(path, Mark(GENERATED))
    assert [own for is_strip, own in marks_of(page(copied)) if not is_strip] == [None, Mark(GENERATED)]
    write_report(copied, tmp_path / "unmarked.html", Marks(wanted=False))
    assert not any(own for _, own in marks_of(Page((tmp_path / "unmarked.html").read_text())))


def test_the_strips_are_the_mean_face_and_the_strengths(complete, page):
    address = next(i["src"] for i in page(complete).images if i["alt"].startswith("id2’s mean face, then with a & b"))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("L"), np.float64)
    layout = Layout(complete)
    paths = [layout.mean("id2"), *(layout.picture(1, "id2", alpha) for alpha in ALPHAS)]
    made = np.asarray(Image.fromarray(np.concatenate([images.load(path) for path in paths], 1)).convert("L"))
    correlation = [np.corrcoef(shown.ravel(), np.roll(made, by, 1).ravel())[0, 1] for by in (0, SIZE)]
    assert correlation[0] > 0.9 > correlation[1]  # WebP is lossy, and these faces are noise


def test_tables_have_the_numbers_of_the_csv(complete, page):
    found, likeness, scores = page(complete), rows_of(complete, "likeness"), rows_of(complete, "scores")
    for alpha, *cells in table(found, "Means over the transfers")[1:]:
        rows = [row for row in likeness if float(row["alpha"]) == float(alpha)]
        target, source = ([float(row[f"to_{who}"]) for row in rows] for who in ("target", "source"))
        kept = np.mean([t < s for t, s in zip(target, source, strict=True)])
        assert cells == [f"{np.mean(target):.3f}", f"{np.mean(source):.3f}", f"{100 * kept:.0f} %", str(len(rows))]
    every = {tuple(row[:3]): row[3:] for row in table(found, "Distance to the target")[1:]}
    assert len(every) == 2 * 2 * 2
    for row in likeness:
        for who in ("target", "source"):
            shown = every[row["name"], row["person"], who][ALPHAS.index(float(row["alpha"]))]
            assert shown == f"{float(row[f'to_{who}']):.3f}"
    for alpha, *cells in table(found, "Means over all transfers that")[1:]:
        rows = [row for row in scores if float(row["alpha"]) == float(alpha)]
        expected = [np.mean([float(row[key]) for row in rows]) for key in ("correlation", "error")]
        assert cells == [f"{value:.3f}" for value in expected]
    fidelity = table(found, "Means over people")[1:]
    assert fidelity[0][:4] == ["equation", "0.5", "0.500", "1.000"]
    assert fidelity[3][:4] == ["pixels", "1", "1.000", "2.000"]


def test_names_are_escaped(complete, page):
    found = page(complete)
    assert "id<b>" in found.text
    assert "smile $1" in found.text
    assert "a & b" in found.text
    assert "b" not in found.open


def test_versions_and_hashes_are_those_of_the_run(complete, page, tiny_transferer):
    found = page(complete)
    assert tiny_transferer.manifest.model_hash in found.text
    assert {row[0] for row in table(found, "SHA-256")[1:]} == {
        "run.json",
        "fidelity.csv",
        *(f"evaluation/{name}.csv" for name in ("likeness", "scores", "action_units")),
    }
    assert json.loads((complete / "run.json").read_text())["made with"]["NumPy"] == np.__version__


def test_the_same_run_gives_the_same_page(complete, tmp_path):
    write_report(complete, tmp_path / "a.html")
    write_report(complete, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_was_not_measured_is_said(tiny_transferer, cast, tmp_path, page):
    run(tiny_transferer, cast, tmp_path / "out", alphas=ALPHAS)
    found = page(tmp_path / "out")
    assert found.text.count("Not measured") == 3
    assert "No strength is recommended, because likeness was not measured." in found.text
    assert "None: every picture could be used, as far as can be told without likeness" in found.text
    assert len(found.images) == 6
    assert found.labels == []


def test_failures_are_listed(copied, page):
    layout = Layout(copied)
    (copied / "evaluation/skipped.csv").write_text('picture,reason\n"<x>.png","no\nface, none"\n')
    rows = read_tidy(LikenessRow, layout.tidy("likeness"))
    write_tidy([LikenessRow(*(1, "a & b", "id1", 0.3), math.nan, math.nan, 1.0), *rows[1:]], layout.tidy("likeness"))
    scores = read_tidy(ScoreRow, layout.tidy("scores"))
    write_tidy([ScoreRow(*(1, "a & b", "id1", 0.5), math.nan, math.nan), *scores[1:]], layout.tidy("scores"))
    layout.picture(2, "id2", 0.5).unlink()
    found = page(copied)
    assert table(found, "Pictures that were left out")[1] == ["<x>.png", "no\nface, none"]
    assert table(found, "Transfers in which no face")[1] == ["a & b", "id1", "0.3"]
    assert table(found, "Faces whose action units")[1] == ["a & b", "id1", "0.5"]
    assert "the run is not finished: smile $1 of id2" in found.text
    assert table(found, "Distance to the target")[1][:4] == ["a & b", "id1", "target", "n/m"]
    assert table(found, "Means over the transfers")[1][-1] == "3"


def likeness(alpha, to_target, to_source=1.0):
    return LikenessRow(1, "smile", "ann", alpha, to_source, to_target, 1.0)


def score(alpha, correlation):
    return ScoreRow(1, "smile", "ann", alpha, correlation, 0.1)


def test_the_largest_strength_that_keeps_identity_is_recommended():
    rows = [likeness(0.3, 0.2), likeness(0.4, 0.9), likeness(0.5, 1.1), likeness(0.6, 0.9)]
    chosen = recommend(strengths(rows, []))
    assert chosen.alpha == 0.4
    assert chosen.reason == "Beyond 0.4 identity is lost. How much of the expression arrived was not measured."
    assert recommend(strengths(rows[:2], [])).alpha == 0.4
    assert "the largest strength tried" in recommend(strengths(rows[:2], [])).reason
    assert recommend(strengths(rows[2:], [])).alpha is None
    assert "lost already at 0.5" in recommend(strengths(rows[2:], [])).reason
    assert recommend([]).alpha is None


def test_one_transfer_in_twenty_may_be_lost():
    rows = [likeness(0.3, 0.2)] * 19 + [likeness(0.3, 2)]
    assert recommend(strengths(rows, [])).alpha == 0.3
    assert recommend(strengths([*rows, likeness(0.3, 2)], [])).alpha is None
    assert strengths([*rows, likeness(0.3, math.nan)], [])[0].measured == 20


def test_where_action_units_were_measured_they_decide():
    rows = [likeness(0.3, 0.2), likeness(0.4, 0.3), likeness(0.5, 0.4), likeness(0.6, 1.2)]
    scores = [score(0.0, 0.99), score(0.3, 0.5), score(0.4, 0.8), score(0.5, 0.7), score(0.6, 0.9)]
    chosen = recommend(strengths(rows, scores))
    assert chosen.alpha == 0.4
    assert chosen.reason == "Its action units correlate best, 0.800 in the mean, and beyond 0.5 identity is lost."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluation/likeness.csv", "expression,name\n1,smile\n", "expected a table of expression,name,person,alpha"),
        ("evaluation/scores.csv", "", "its columns are none"),
        ("evaluation/skipped.csv", "picture,reason\na.png\n", "expected a table of picture,reason in .*skipped.csv"),
        ("fidelity.csv", "method,alpha\n", "its columns are method,alpha"),
        ("run.json", "[", "expected the folder of a run at .*, but its run.json cannot be read"),
        ("run.json", "{}", "expected what `flowxfer paper` writes in .*run.json, but 'source' is wrong"),
        ("run.json", '{"source": "a", "targets": 1}', "expected what `flowxfer paper` writes in"),
    ],
)
def test_damaged_files_are_one_clear_error(copied, tmp_path, name, content, message):
    (copied / name).write_text(content)
    with pytest.raises(InputError, match=message):
        write_report(copied, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_cell_that_is_no_number_is_named(copied, tmp_path):
    path = Layout(copied).tidy("likeness")
    path.write_text(path.read_text().replace("0.3", "much", 1))
    with pytest.raises(InputError, match="likeness.csv, but it cannot be read: could not convert .* 'much'"):
        write_report(copied, tmp_path / "page.html")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="`flowxfer paper -o FOLDER` makes one"):
        write_report(tmp_path, tmp_path / "page.html")


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_what_is_not_installed_is_named(complete, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"The report needs {package}, .*'flowxfer\[report\]'"):
        write_report(complete, tmp_path / "page.html")


def test_tidy_tables_are_read_as_they_were_written(tmp_path):
    rows = [likeness(0.3, 1 / 3), LikenessRow(2, 'a "b", <c>\n', "bo", 0.5, 0.1, math.pi, 2.0)]
    write_tidy(rows, tmp_path / "a.csv")
    assert read_tidy(LikenessRow, tmp_path / "a.csv") == rows
    write_tidy([likeness(0.3, math.nan)], tmp_path / "b.csv")
    assert math.isnan(read_tidy(LikenessRow, tmp_path / "b.csv")[0].to_target)
    assert len(INTENSITIES) == 17
