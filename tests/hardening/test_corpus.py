"""What atheris found with its eyes on the branches is tried again, without atheris: see `guided`."""

from __future__ import annotations

import pytest

from tests.hardening.entrances import ENTRANCES
from tests.hardening.guided import CORPUS, NAMES


def test_every_entrance_has_a_corpus_and_nothing_else_has():
    assert set(ENTRANCES) == set(NAMES) == {path.name for path in CORPUS.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_used_or_refused_with_one_sentence(name, tmp_path):
    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert len(inputs) > 3
    with ENTRANCES[name](tmp_path) as (use, sound):
        for data in [*sound, *inputs]:
            use(data)


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 400_000
