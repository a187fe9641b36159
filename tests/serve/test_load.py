"""A thousand requests of eight clients at once give the pictures that come one after the other."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
import pytest

from flowxfer import Transferer
from flowxfer.serve import create_app
from tests.serve.conftest import face, performance, pixels, png
from tests.serve.server import serving

CLIENTS, REQUESTS = 8, 1000
CALLS = {"transfer": 2, "mix": 2, "decode": 1, "sample": 0}  # of the model, for a request that is alone


@pytest.fixture
def cases(tiny_transferer, tmp_path):
    """Requests of every kind, each with the library's own answer."""
    found = []
    for index, alpha in itertools.product(range(5), (0.0, 0.4, 1.0)):
        performer = face(4 + index), [face(5), face(6)]
        files = performance(index, smile=4 + index)
        expected = tiny_transferer.transfer(face(index), *performer, alpha)[0]
        found.append(("transfer", {"files": files, "data": {"alpha": alpha}}, expected))
        files = {"first": png(face(index)), "second": png(face(index + 1))}
        expected = tiny_transferer.mix(face(index), face(index + 1), alpha)[0]
        found.append(("mix", {"files": files, "data": {"alpha": alpha}}, expected))
    for index in range(5):
        tiny_transferer.encode(face(index)).save(tmp_path / "z.safetensors")
        files = {"latents": (tmp_path / "z.safetensors").read_bytes()}
        found.append(("decode", {"files": files}, face(index)))
        found.append(("sample", {"data": {"seed": index}}, tiny_transferer.sample(seed=index)[0]))
    return found


def test_many_at_once_are_as_one_after_the_other(tiny_transferer, cases, monkeypatch):
    batches = []
    monkeypatch.setattr(Transferer, "encode", watched(Transferer.encode, batches))
    monkeypatch.setattr(Transferer, "decode", watched(Transferer.decode, batches))
    with serving(create_app(tiny_transferer)) as (host, port):

        def ask(client, number):
            path, body, expected = cases[number % len(cases)]
            answer = client.post(f"http://{host}:{port}/v1/{path}", **body)
            return answer.status_code == 200 and np.array_equal(pixels(answer.content), expected)

        def work(share):
            with httpx2.Client(timeout=60) as client:
                return [ask(client, number) for number in share]

        shares = [range(start, REQUESTS, CLIENTS) for start in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            results = list(itertools.chain(*pool.map(work, shares)))
    assert len(results) == REQUESTS
    assert all(results)
    alone = sum(CALLS[cases[number % len(cases)][0]] for number in range(REQUESTS))
    assert len(batches) < alone  # requests shared batches


def watched(method, batches):
    def call(self, faces):
        batches.append(len(faces))
        return method(self, faces)

    return call
