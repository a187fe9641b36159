"""What each route gives: the library's own results."""

from __future__ import annotations

import errno
import io
import os
import sys
import zipfile
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from starlette.testclient import TestClient

from flowxfer import Latents, __version__
from flowxfer.images import contact_sheets
from flowxfer.provenance import EDITED, GENERATED, Mark, Marks, read
from flowxfer.serve import create_app
from flowxfer.transferer import PAPER_ALPHAS
from tests.serve.conftest import SIZE, face, performance, pixels, png


def unzipped(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: pixels(archive.read(name)) for name in archive.namelist()}


def good(answer, media_type="image/png"):
    assert answer.status_code == 200, answer.text[:200]
    assert answer.headers["content-type"] == media_type
    return answer.content


def problem(answer, status) -> str:
    assert answer.status_code == status, answer.text[:200]
    (sentence,) = answer.json().values()
    assert list(answer.json()) == ["error"]
    return sentence


# ---------------------------------------------------------------- laws


def test_encode_and_decode_return_every_pixel(client):
    faces = [face(index) for index in range(3)]
    latents = good(client.post("/v1/encode", files=[("faces", png(one)) for one in faces]), "application/octet-stream")
    found = unzipped(good(client.post("/v1/decode", files={"latents": latents}), "application/zip"))
    assert list(found) == ["000.png", "001.png", "002.png"]
    assert all(np.array_equal(a, b) for a, b in zip(found.values(), faces, strict=True))


def test_alpha_0_returns_the_target(client):
    answer = client.post("/v1/transfer", files=performance(1), data={"alpha": "0"})
    assert np.array_equal(pixels(good(answer)), face(1))


def test_the_ends_of_a_mix_are_its_faces(client):
    files = {"first": png(face(1)), "second": png(face(2))}
    for alpha, index in ((0, 1), (1, 2)):
        assert np.array_equal(pixels(good(client.post("/v1/mix", files=files, data={"alpha": alpha}))), face(index))


def test_the_same_request_gives_the_same_bytes(client):
    first, second = (client.post("/v1/sweep", files=performance()).content for _ in range(2))
    assert first == second


# ---------------------------------------------------------------- as the library has it


def test_transfer(client, tiny_transferer):
    expected = tiny_transferer.transfer([face(0), face(1)], face(4), [face(5), face(6)], 0.7)
    answer = client.post("/v1/transfer", files=performance(0, 1), data={"alpha": "0.7"})
    found = unzipped(good(answer, "application/zip"))
    assert np.array_equal(list(found.values()), expected)
    assert answer.headers["content-disposition"] == 'attachment; filename="faces.zip"'


def test_transfer_with_a_strength_for_each_level(client, tiny_transferer):
    expected = tiny_transferer.transfer(face(0), face(4), [face(5), face(6)], [0.2, 0.5, 1.0])
    answer = client.post("/v1/transfer", files=performance(), data={"alpha": ["0.2", "0.5", "1"]})
    assert np.array_equal(pixels(good(answer)), expected[0])


def test_the_default_strengths_are_the_librarys(client, tiny_transferer):
    performer = face(4), [face(5), face(6)]
    answer = client.post("/v1/transfer", files=performance())
    assert np.array_equal(pixels(good(answer)), tiny_transferer.transfer(face(0), *performer)[0])
    found = unzipped(good(client.post("/v1/sweep", files=performance()), "application/zip"))
    assert list(found) == [f"{index:03}_alpha_{alpha:.2f}.png" for index, alpha in enumerate(PAPER_ALPHAS)]
    assert np.array_equal(list(found.values()), tiny_transferer.sweep(face(0), *performer))


def test_a_strip_is_labelled(client, tiny_transferer):
    answer = client.post("/v1/sweep", files=performance(), data={"alpha": ["0", "0.5"], "strip": "true"})
    faces = tiny_transferer.sweep(face(0), face(4), [face(5), face(6)], [0, 0.5])
    expected = contact_sheets.strip(faces, ["alpha 0", "alpha 0.5"])
    assert np.array_equal(pixels(good(answer)), np.asarray(expected))


def test_manipulate(client, tiny_transferer, tiny_attributes):
    direction = tiny_attributes.mixed({"Smiling": 0.8, "Male": -0.5})
    expected = tiny_transferer.manipulate([face(0), face(1)], direction)
    data = {"attribute": ["Smiling", "Male"], "strength": ["0.8", "-0.5"]}
    answer = client.post("/v1/manipulate", files=[("faces", png(face(n))) for n in range(2)], data=data)
    assert np.array_equal(list(unzipped(good(answer, "application/zip")).values()), expected)
    unchanged = client.post(
        "/v1/manipulate", files={"faces": png(face(1))}, data={"attribute": "Male", "strength": "0"}
    )
    assert np.array_equal(pixels(good(unchanged)), face(1))


def test_mix_and_sample(client, tiny_transferer):
    files = {"first": png(face(1)), "second": png(face(2))}
    expected = tiny_transferer.mix(face(1), face(2), 0.3)
    assert np.array_equal(pixels(good(client.post("/v1/mix", files=files, data={"alpha": "0.3"}))), expected[0])
    answer = client.post("/v1/sample", data={"n": 3, "temperature": 0.5, "seed": 7})
    expected = tiny_transferer.sample(3, temperature=0.5, seed=7)
    assert np.array_equal(list(unzipped(good(answer, "application/zip")).values()), expected)


def test_latents_stand_for_faces(client, tiny_transferer, tmp_path):
    """A mean that was fetched once, and a file that the library saved, both in the place of pictures."""
    neutrals = [("faces", png(face(index))) for index in (5, 6)]
    mean = good(client.post("/v1/mean", files=neutrals), "application/octet-stream")
    tiny_transferer.encode(face(0)).save(tmp_path / "target.safetensors")
    files = {"target": (tmp_path / "target.safetensors").read_bytes(), "expression": png(face(4)), "neutral": mean}
    answer = client.post("/v1/transfer", files=files, data={"alpha": "1"})
    expected = tiny_transferer.transfer(face(0), face(4), tiny_transferer.mean([face(5), face(6)]), 1)
    assert np.array_equal(pixels(good(answer)), expected[0])


def test_latents_are_the_files_that_the_library_writes(client, tiny_transferer, tmp_path):
    answer = client.post("/v1/encode", files={"faces": png(face(0))})
    (tmp_path / "served").write_bytes(good(answer, "application/octet-stream"))
    served, own = Latents.load(tmp_path / "served"), tiny_transferer.encode(face(0))
    assert all(np.array_equal(a, b) for a, b in zip(served.levels, own.levels, strict=True))
    assert (served.model_hash, served.numerics) == (own.model_hash, own.numerics)


def test_a_square_picture_is_resized(client):
    answer = client.post("/v1/encode", files={"faces": png(face(3, 2 * SIZE))})
    decoded = client.post("/v1/decode", files={"latents": answer.content})
    assert np.array_equal(pixels(good(decoded)), face(3))


def test_the_format_is_the_fields_or_by_accept(client):
    jpeg = {"accept": "image/jpeg"}
    for headers, data, expected in (
        ({}, {}, "png"),
        ({}, {"format": "jpeg"}, "jpeg"),
        (jpeg, {}, "jpeg"),
        (jpeg, {"format": "png"}, "png"),
        ({"accept": "image/png, image/jpeg"}, {}, "png"),
    ):
        answer = client.post("/v1/transfer", files=performance(), data=data, headers=headers)
        assert pixels(good(answer, f"image/{expected}")).shape == (SIZE, SIZE, 3)


def test_health_and_models(client, tiny_transferer, monkeypatch):
    health = client.get("/v1/health").json()
    assert (health["status"], health["version"]) == ("ok", __version__)
    assert health["providers"] == list(tiny_transferer.providers)
    assert health["queue"] == {"requests": 0, "limit": 64}
    assert health["model"]["hash"] == tiny_transferer.manifest.model_hash
    assert (health["model"]["size"], health["model"]["levels"]) == (SIZE, 3)
    assert health["model"]["attributes"] == ["Smiling", "Male"]
    monkeypatch.setattr("flowxfer.models.hub.list_models", lambda: {"synthetic-64": "bundled", "tiny": "cached"})
    known, own = client.get("/v1/models").json()
    assert (known["name"], known["licence"], known["served"]) == ("synthetic-64", "CC0-1.0", False)
    assert own == {"name": "tiny", "place": "cached", "about": "converted here", "licence": None, "served": True}


# ---------------------------------------------------------------- marks


def test_pictures_say_that_they_are_synthetic(client, tiny_transferer, tmp_path):
    def said(answer):
        (tmp_path / "file").write_bytes(good(answer, answer.headers["content-type"]))
        return read(tmp_path / "file")

    per_level = client.post("/v1/transfer", files=performance(), data={"alpha": ["0.2", "0.5", "1"], "format": "jpeg"})
    assert said(per_level).mark() == Mark(EDITED, "tiny", tiny_transferer.manifest.model_hash, ((0.2, 0.5, 1.0),))
    strip = client.post("/v1/sweep", files=performance(), data={"alpha": ["0.2", "0.5"], "strip": "true"})
    assert said(strip).alphas == (0.2, 0.5)
    assert said(client.post("/v1/sample")).source_type == GENERATED
    with TestClient(create_app(tiny_transferer, marks=Marks(wanted=False)), base_url="http://localhost") as unmarked:
        assert said(unmarked.post("/v1/sample")).mark() is None


# ---------------------------------------------------------------- faces in photographs


def test_align_finds_the_face(client, monkeypatch):
    from flowxfer import faces

    asked = []

    def align(picture, *, size):
        asked.append((picture.shape, size))
        return [faces.Aligned(face(2), None, None)] if len(asked) == 1 else []

    monkeypatch.setattr("flowxfer.faces.align", align)
    photo = {"faces": png(face(0, 96)[:64])}
    latents = good(client.post("/v1/encode", files=photo, data={"align": "true"}), "application/octet-stream")
    assert asked == [((64, 96, 3), SIZE)]
    assert np.array_equal(pixels(client.post("/v1/decode", files={"latents": latents}).content), face(2))
    sentence = problem(client.post("/v1/encode", files=photo, data={"align": "true"}), 422)
    assert sentence.startswith("expected a face in faces, found none")


def test_align_without_its_extra(client, monkeypatch):
    from flowxfer.faces import DlibDetector

    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr("flowxfer.faces.alignment._default_detector", DlibDetector)
    answer = client.post("/v1/encode", files={"faces": png(face(0))}, data={"align": "true"})
    assert "align=true needs dlib, which is not installed; pip install 'flowxfer[faces]'" in problem(answer, 501)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("path", "data", "status", "sentence"),
    [
        ("nowhere", {}, 404, "there is no /v1/nowhere here; /openapi.json lists what is"),
        ("health", {}, 405, "/v1/health does not take POST"),
        ("transfer", {"alpha": "strong"}, 422, "alpha: input should be a valid number"),
        ("transfer", {"alpha": "inf"}, 422, "alpha: input should be a finite number, got 'inf'"),
        ("transfer", {"alpha": ["1", "2"]}, 422, "or one for each of the 3 levels, got [1.0, 2.0]"),
        ("transfer", {"format": "bmp"}, 422, "format: input should be 'auto', 'png' or 'jpeg', got 'bmp'"),
        ("sweep", {"alpha": ["0.1"] * 13}, 413, "expected at most 12 faces in a request, got 13; send several"),
        ("sample", {"n": "0"}, 422, "n: input should be greater than or equal to 1, got '0'"),
        ("sample", {"n": "13"}, 413, "expected at most 12 faces in a request, got 13; send several"),
        ("sample", {"temperature": "nan"}, 422, "temperature: "),
    ],
)
def test_mistakes_in_a_request(client, path, data, status, sentence):
    assert sentence in problem(client.post(f"/v1/{path}", data=data, files=performance()), status)


@pytest.mark.parametrize(
    ("attributes", "strengths", "sentence"),
    [
        (["Smiling"], ["0.1", "0.2"], "a strength for each, got 1 attributes and 2 strengths"),
        (["Male", "Male"], ["0.1", "0.2"], "expected each attribute once, and a strength for each, got 2"),
        (["male"], ["0.1"], "expected an attribute of the model, got 'male'; did you mean Male?"),
        (["Male"], ["nan"], "strength: input should be a finite number"),
        ([], ["1"], "expected the field attribute"),
    ],
)
def test_attributes_that_cannot_be(client, attributes, strengths, sentence):
    data = {"attribute": attributes, "strength": strengths}
    assert sentence in problem(client.post("/v1/manipulate", files={"faces": png(face(0))}, data=data), 422)


def test_missing_files(client):
    assert problem(client.post("/v1/mix"), 422) == "expected the field first, got none; send it as multipart/form-data"
    answer = client.post("/v1/encode", content=b"x", headers={"content-type": "multipart/form-data"})
    assert problem(answer, 400) == "Missing boundary in multipart."


def test_numbers_of_faces(client):
    answer = client.post("/v1/sweep", files=performance(0, 1))
    assert "expected one target and one expression, got 2 and 1" in problem(answer, 422)
    answer = client.post("/v1/transfer", files=[*performance(0, 1, 2), ("expression", png(face(7)))])
    assert "expected one expression, or one for each of 3 targets, got 2" in problem(answer, 422)
    answer = client.post("/v1/mix", files=[("first", png(face(0))), *2 * [("second", png(face(0)))]])
    assert "expected one first and one second face, got 1 and 2" in problem(answer, 422)
    answer = client.post("/v1/encode", files=12 * [("faces", png(face(0)))])
    assert answer.status_code == 200
    assert "Too many files" in problem(client.post("/v1/encode", files=13 * [("faces", png(face(0)))]), 400)


def test_an_error_of_the_service_itself_is_a_sentence_too(tiny_transferer, monkeypatch, caplog):
    app = create_app(tiny_transferer)
    with TestClient(app, raise_server_exceptions=False, base_url="http://localhost") as client:
        monkeypatch.setattr(app.state.service, "_sample", lambda jobs: 1 / 0)
        sentence = problem(client.post("/v1/sample"), 500)
    assert sentence == "the service failed at this request, which is its own mistake; its log tells more"


def test_latents_are_the_same_bytes_each_time(client):
    assert len({client.post("/v1/encode", files={"faces": png(face(0))}).content for _ in range(8)}) == 1


def test_thousands_of_names_are_a_short_sentence(client):
    data = safetensors.numpy.save({f"name{index}": np.zeros(1, "u1") for index in range(9000)}, {"flowxfer.model": "a"})
    assert len(problem(client.post("/v1/decode", files={"latents": data}), 422)) < 600


@pytest.mark.parametrize("path", ["sample?format=jpeg", "encode?align=true", "sweep?a=1&b=2"])
def test_fields_in_the_address_are_refused(client, path):
    sentence = problem(client.post(f"/v1/{path}", files={"faces": png(face(0)), **dict(performance())}), 422)
    assert sentence.startswith("expected the fields in the body, got ")


def test_an_alpha_that_overflows(client):
    answer = client.post("/v1/transfer", files=performance(), data={"alpha": "1e308"})
    assert "expected alpha from -1000 to 1000" in problem(answer, 422)


def test_a_system_that_has_no_room_is_a_sentence(tiny_transferer, monkeypatch, caplog):
    app = create_app(tiny_transferer)
    with TestClient(app, raise_server_exceptions=False, base_url="http://localhost") as client:

        def full(*_, number=errno.EMFILE):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(app.state.service, "_sample", full)
        answer = client.post("/v1/sample")
        expected = (
            "expected room for this request, but the system has none (Too many open files); try again in a second"
        )
        assert problem(answer, 503) == expected
        assert answer.headers["Retry-After"] == "1"
        monkeypatch.setattr(app.state.service, "_sample", partial(full, number=errno.EIO))
        assert "its own mistake" in problem(client.post("/v1/sample"), 500)


def test_the_schema_is_whole(client):
    """Each operation has a summary, each field a description, each error its sentence."""
    schema = client.get("/openapi.json").json()
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len(operations) == 10
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
    bodies = [body for name, body in schema["components"]["schemas"].items() if name.startswith("Body_")]
    assert len(bodies) == 8
    assert all(field.get("description") for body in bodies for field in body["properties"].values())
    refused = schema["paths"]["/v1/transfer"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/Problem"}
