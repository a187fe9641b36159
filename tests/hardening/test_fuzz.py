"""Tens of thousands of damaged files: each is used, or refused with one sentence."""

from __future__ import annotations

from random import Random

import pytest

from tests.hardening.fuzz import MODULES, fuzz, kinds
from tests.hardening.mutation import mutated, mutated_json

IN_CI = [(module, name) for module in MODULES for name in kinds(module)]


def test_at_least_20_000_inputs_are_tried():
    assert sum(kinds(module)[name].inputs for module, name in IN_CI) >= 20_000


@pytest.mark.parametrize(("module", "name"), IN_CI, ids=[name for _, name in IN_CI])
def test_every_input_is_used_or_refused_with_one_sentence(module, name, tmp_path):
    findings = fuzz(module, name, kinds(module)[name].inputs, keep=tmp_path)
    assert not findings, "\n".join(map(str, findings))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("crash", "the process died of SIGSEGV"),
        ("hang", "no end after 20 seconds"),
        ("wait", "no end after 20 seconds"),
        ("swell", "MemoryError"),
        ("foreign", "KeyError: 'missing'"),
        ("trace", "AssertionError: 'KeyError(' in: expected a picture"),
        ("ramble", "AssertionError: a sentence of 600 characters"),
        ("stray", "it wrote elsewhere: ['open /"),
        ("start", "os.system b'true'"),
    ],
)
def test_what_no_input_may_do_is_found_and_kept(name, what, tmp_path):
    (finding, *_) = fuzz("tests.hardening.misbehaviour", name, 3, keep=tmp_path)
    assert what in finding.what
    assert finding.number == 1
    assert f"--kind {name} --first 1 --inputs 1" in str(finding)
    assert (tmp_path / f"{name}-1" / "input").read_bytes() == Random(f"{name} 1").randbytes(4)


def test_a_process_that_died_is_followed_by_another(tmp_path):
    """Each process dies at its second input, so eight inputs are four deaths."""
    findings = fuzz("tests.hardening.misbehaviour", "crash", 8, keep=tmp_path)
    assert [finding.number for finding in findings] == [1, 3, 5, 7]


def test_a_number_makes_the_same_input_again_and_few_are_the_seed():
    seeds = [bytes(range(256)), b"another seed of some length"]
    made = [mutated(seeds, Random(f"kind {number}")) for number in range(1000)]
    assert made == [mutated(seeds, Random(f"kind {number}")) for number in range(1000)]
    assert len(set(made)) > 900
    assert sum(data in seeds for data in made) < 30


def test_hostile_json_is_json_nearly_always():
    values = {"name": "tiny", "shapes": [[3, 4, 4]], "files": {"a": "b"}}
    made = {mutated_json(values, Random(number)) for number in range(1000)}
    assert len(made) > 300
