"""The command that makes the table of exactness."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import precision


@pytest.fixture
def few_images(monkeypatch):
    real = precision.images
    monkeypatch.setattr(precision, "images", lambda size, count: real(size, precision.BATCH))


def test_exact_precisions_lose_nothing_and_the_page_says_so(tmp_path, monkeypatch, few_images, capsys):
    monkeypatch.setenv("FLOWXFER_CACHE", str(tmp_path / "cache"))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{precision.BEGIN}\nold\n{precision.END}\nafter\n")
    output = tmp_path / "results" / "precision.json"
    options = ["--models", "tiny-32", "--rounds", "1", "--threads", "1", "--into", str(page), "--output", str(output)]
    precision.main(options)
    rows = json.loads(output.read_text())["rows"]
    exact = [row for row in rows if row["contestant"].startswith("exact")]
    assert len(exact) == 5
    assert all(row["restored"] == 1 and row["worst"] == 0 for row in exact)
    assert 0 < next(row for row in exact if "bf16" in row["contestant"])["mean_error"] < 2
    text = page.read_text()
    assert text.startswith(f"before\n{precision.BEGIN}\n| model |")
    assert text.endswith(f"{precision.END}\nafter\n")
    assert "old" not in text
    assert "| tiny-32 | exact-bf16, PyTorch | **all** | 0 |" in text
    assert capsys.readouterr().out.strip() in text


def test_one_value_lost_in_one_way_of_batching_is_seen():
    def decode(latents):
        pictures = latents[0].numpy().copy()
        if len(pictures) == 1:
            pictures[0, 3, 4, 1] ^= 4
        return pictures

    pictures = precision.images(8, precision.BATCH)
    contestant = precision.Contestant("", lambda images: [torch.from_numpy(images)], decode, decode)
    share, worst = precision.restored(contestant, pictures)
    assert share == pytest.approx(63 / 64)
    assert worst == 4


def test_oracles_are_left_out_where_they_are_not(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("FLOWXFER_ORACLE", raising=False)
    precision.main(["--models", "F1", "--threads", "1"])
    assert "F1 is left out: FLOWXFER_ORACLE does not name" in capsys.readouterr().out


def test_unknown_models_are_refused(capsys):
    with pytest.raises(SystemExit):
        precision.main(["--models", "glowworm"])
    assert "expected models of" in capsys.readouterr().err
