"""The whole benchmark on a tiny model, and what it writes."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from flowxfer.benchmarks import models, report, suite
from flowxfer.benchmarks.cases import CASES
from flowxfer.benchmarks.flops import architecture_flops
from flowxfer.benchmarks.suite import Options
from flowxfer.cli import app
from flowxfer.errors import InputError, MissingExtraError
from flowxfer.glow import GlowConfig

OPTIONS = Options(
    models=["tiny-32"],
    contestants=["flowxfer", "flowxfer-fp32"],
    cases=["encode", "decode", "sweep"],
    batches=[1, 2],
    threads=[1],
    seconds=0.01,
    startups=1,
)
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def results(tiny_model):
    told = []
    found = suite.run(OPTIONS, tiny_model.path.parent, told.append)
    assert "tiny-32, 1 threads: encode, batch 2" in told
    return found


def test_every_contestant_has_every_cell(results):
    cells = {(row["contestant"], row["case"], row["batch"]) for row in results["rows"]}
    expected = [("encode", 1), ("encode", 2), ("decode", 1), ("decode", 2), ("sweep", 11)]
    assert cells == {(name, *cell) for name in OPTIONS.contestants for cell in expected}
    assert results["failures"] == []
    assert [row["contestant"] for row in results["startup"]] == OPTIONS.contestants


def test_figures_hang_together(results):
    flops = architecture_flops(GlowConfig(32, 3, 2, 16, "additive"), priors=True)
    assert results["models"]["tiny-32"]["flops"] == flops
    for row in results["rows"]:
        assert 0 < row["min_ms"] <= row["q1_ms"] <= row["median_ms"] <= row["q3_ms"]
        work = flops * CASES[row["case"]].passes(row["batch"])
        assert row["share_of_peak"] == pytest.approx(work / row["median_ms"] / 1e6 / results["peak"]["1"])
        assert row["times_eager"] is None  # it does not take part
    for row in results["errors"]:
        assert row["round_trip_wrong"] == 0
        assert 0 < row["latents_error"] < 1e-4
        assert row["edit_error"] < 0.01


def test_the_environment_is_told(results):
    found = results["environment"]
    assert {"cpu", "flags", "caches", "allocator", "commit", "load_before", "load_after"} <= found.keys()
    assert found["packages"]["onnxruntime"]
    assert "MALLOC_MMAP_MAX_=0" in found["allocator"]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.seen += [tag, *(value for key, value in attrs if key == "id")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_parses(results, tmp_path):
    paths = {path.name: path for path in report.write(results, tmp_path)}
    assert json.loads(paths["results.json"].read_text()) == json.loads(json.dumps(results))
    for name in ("summary.md", "report.md"):
        tables = re.findall(r"(?:^\|.*\n)+", paths[name].read_text(), re.MULTILINE)
        assert tables
        for rows in tables:
            assert len({row.count("|") for row in rows.splitlines()}) == 1
    ElementTree.fromstring(paths["speed.svg"].read_text())
    page = Tags()
    page.feed(paths["report.html"].read_text())
    assert page.open == []
    assert page.seen.count("svg") == 3
    identifiers = [name for name in page.seen if name.startswith("p") and "-" in name]
    assert len(identifiers) == len(set(identifiers)) > 0
    assert page.seen.count("table") == 5 + 2


def test_the_summary_gives_time_ratio_and_share(results, tmp_path):
    row = results["rows"][0]
    changed = results | {"rows": [{**row, "median_ms": 12.345, "times_eager": 3.04, "share_of_peak": 0.804}]}
    assert "| **flowxfer** | 12.3 (3x; 80%) | 0 | " in report.summary(changed)


def test_failures_are_told(results):
    row = {"model": "tiny-32", "threads": 1, "contestant": "openvino", "case": "encode", "batch": 2, "reason": "no"}
    assert "- openvino, tiny-32, 1 thread, encode, batch 2: no" in report.details(results | {"failures": [row]})


def test_publishing_fills_the_block_and_nothing_else(results, tmp_path):
    report.write(results, tmp_path)
    document, picture = tmp_path / "page.md", tmp_path / "page.svg"
    document.write_text("before\n<!-- benchmark -->\nold\n<!-- /benchmark -->\nafter\n")
    report.publish(tmp_path, document, picture)
    text = document.read_text()
    assert text.startswith("before\n<!-- benchmark -->\n")
    assert text.endswith("<!-- /benchmark -->\nafter\n")
    assert "old" not in text
    assert (tmp_path / "summary.md").read_text() in text
    assert picture.read_text() == (tmp_path / "speed.svg").read_text()
    document.write_text("<!-- ablation --><!-- /ablation -->")
    picture.unlink()
    report.publish(tmp_path, document, None, "ablation")
    assert (tmp_path / "summary.md").read_text() in document.read_text()
    assert not picture.exists()
    document.write_text("no comments")
    with pytest.raises(InputError, match="expected <!-- benchmark --> and <!-- /benchmark --> in .*page.md"):
        report.publish(tmp_path, document, picture)


def test_options_are_checked():
    with pytest.raises(InputError, match="expected models of synthetic-64, .*got huge"):
        Options(models=["huge"], contestants=[])
    with pytest.raises(InputError, match="expected cases of encode, .*got sing"):
        Options(cases=["sing"], contestants=[])
    with pytest.raises(InputError, match="expected batches, threads, seconds and startups above 0"):
        Options(batches=[0], contestants=[])


def test_large_models_are_spared():
    options = Options(contestants=[])
    assert list(options.cells("recipe-256")) == [("encode", 1), ("encode", 8), ("decode", 1), ("decode", 8)]
    assert list(options.cells("recipe-256-deep")) == [("encode", 1), ("decode", 1)]
    assert len(list(options.cells("synthetic-64"))) == 3 * 5 + 2


def test_models_are_made_once_and_known_by_name(tiny_model, tmp_path):
    before = tiny_model.weights.stat().st_mtime_ns
    assert models.make("tiny-32", tiny_model.path.parent).weights.stat().st_mtime_ns == before
    shutil.copytree(tiny_model.path, tmp_path / "tiny-32")
    (tmp_path / "tiny-32" / models.SOURCES).write_text("of another version")
    assert models.make("tiny-32", tmp_path).weights.stat().st_mtime_ns > before
    with pytest.raises(InputError, match="expected a model of synthetic-64, .*got 'nothing'"):
        models.make("nothing", tiny_model.path.parent)


def test_weights_that_only_a_checkout_has(tmp_path, monkeypatch):
    monkeypatch.setattr("flowxfer.models.hub.resolve", lambda name: tmp_path / name)
    with pytest.raises(InputError, match=r"expected the weights of synthetic-64 at .*; a checkout has them"):
        models.make("synthetic-64", tmp_path)


def test_missing_packages_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"`flowxfer bench` needs torch.*flowxfer\[bench\]"):
        models.make("tiny-32", tmp_path)
    result = CliRunner().invoke(app, ["bench", "--quick", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "`flowxfer bench` needs torch" in result.output


def test_the_command(tiny_model, tmp_path, results):
    (tmp_path / "models").symlink_to(tiny_model.path.parent)
    arguments = ["bench", "--quick", "-c", "flowxfer-fp32", "--case", "encode", "-b", "1", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["contestant"], row["case"], row["batch"]) for row in rows] == [("flowxfer-fp32", "encode", 1)]
