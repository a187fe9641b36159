"""What the app computes, without a browser."""

from __future__ import annotations

import gc
import threading
from itertools import groupby

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from flowxfer import Latents, images
from flowxfer.app import Studio, faces
from flowxfer.app.studio import SHOWN_PX, enlarged
from flowxfer.errors import ImageError, InputError, MissingExtraError, VideoError
from flowxfer.provenance import EDITED, GENERATED, Mark, Marks, read

SIZE = 32
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:City="Nowhere"/>
</rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def studio(tiny_transferer, tmp_path):
    (tmp_path / "results").mkdir()
    return Studio(tiny_transferer, tmp_path / "results")


@pytest.fixture
def cast(studio):
    return studio.demo["target"][0], studio.demo["expression"][0], studio.demo["neutral"][0]


@pytest.fixture
def picture(tmp_path):
    """A picture of the model's size that is nobody's of the demo."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    images.save(np.stack([3 * x, 3 * y, 2 * x + 2 * y], axis=2).astype(np.uint8), tmp_path / "me.png")
    return tmp_path / "me.png"


# ---------------------------------------------------------------- results


def test_alpha_0_gives_the_target_back(studio, cast):
    result = studio.transfer(*cast, 0.0)
    assert np.array_equal(images.load(result.face), cast[0].picture.face)
    assert np.array_equal(studio.flow.decode(Latents.load(result.latents))[0], cast[0].picture.face)


def test_a_transfer_is_the_librarys(studio, cast, tiny_transferer):
    result = studio.transfer(*cast, [0.2, 0.5, 1.0])
    expected = tiny_transferer.transfer(*(choice.picture.face for choice in cast), [0.2, 0.5, 1.0])[0]
    assert np.array_equal(images.load(result.face), expected)
    assert np.abs(images.load(result.shown) - np.asarray(enlarged(expected), float)).mean() < 2  # JPEG
    assert np.array_equal(tiny_transferer.decode(Latents.load(result.latents))[0], expected)


def test_a_mix_is_the_librarys(studio, tiny_transferer):
    first, second = studio.demo["target"][:2]
    result = studio.mix(first, second, 0.3)
    expected = tiny_transferer.mix(first.picture.face, second.picture.face, 0.3)[0]
    assert np.array_equal(images.load(result.face), expected)
    assert np.array_equal(tiny_transferer.decode(Latents.load(result.latents))[0], expected)


def test_a_sweep_is_a_strip_and_an_animation(studio, cast):
    strip, animation = studio.sweep(*cast, 0, 1, 5)
    with Image.open(strip) as still, Image.open(animation) as moving:
        assert still.width > 5 * 128
        assert moving.n_frames == 8  # there and back
    for arguments in ((0, 1, 1), (0.5, 0.5, 3)):
        with pytest.raises(InputError, match="expected at least 2 pictures from one alpha to another, got"):
            studio.sweep(*cast, *arguments)


def test_a_film(studio, cast, tmp_path):
    import av

    with av.open(tmp_path / "film.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for grey in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((96, 96, 3), grey, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    told = []
    report = studio.film(str(tmp_path / "film.mp4"), *cast[1:], 0.5, told.append)
    assert (report.frames, report.found) == (5, 0)  # there is no face in it
    assert [done for done, _ in groupby(state.done for state in told) if done] == [1, 2, 3, 4, 5]
    assert read(report.output).mark().alphas == (0.5,)
    with av.open(report.output) as container:
        assert len(list(container.decode(video=0))) == 5


def test_a_film_performs_onto_a_face_and_onto_a_film(studio, cast, clip):
    import av

    told = []
    for target, size in ((cast[0], (SHOWN_PX, SHOWN_PX)), (str(clip), (320, 180))):
        report = studio.drive(str(clip), target, 0.9, told.append)
        assert (report.frames, report.found) == (6, 6)
        assert read(report.output).mark().alphas == (0.9,)
        with av.open(report.output) as film:
            assert [(frame.width, frame.height) for frame in film.decode(video=0)] == [size] * 6
    once = [(study, done) for study in (True, False) for done in range(1, 7)]
    # Where a frame takes long, how far it is is told again.
    assert [state for state, _ in groupby((state.study, state.done) for state in told) if state[1]] == once * 2


def test_a_film_performs_onto_the_photograph_that_a_target_is_from(studio, clip, tmp_path, monkeypatch):
    from flowxfer import video

    seen = []
    monkeypatch.setattr(video, "drive", lambda driver, target, *rest, **options: seen.append(target))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    face = studio.demo["target"][0].picture.face
    studio.drive(str(clip), studio.choice([faces.Picture("me", face, pixels)]), 1.0, print)
    assert seen[0] is pixels


def test_films_that_cannot_be_used(studio, cast, clip, tmp_path):
    (tmp_path / "no film.mp4").write_bytes(b"text" * 100)
    broken = str(tmp_path / "no film.mp4")
    for make in (
        lambda: studio.film(broken, *cast[1:], 0.5, print),
        lambda: studio.drive(broken, cast[0], 1.0, print),
        lambda: studio.drive(str(clip), broken, 1.0, print),
    ):
        with pytest.raises(VideoError, match="expected a film in .*no film.mp4, got none, or one that is damaged"):
            make()


def test_a_seed_draws_the_same_faces(studio):
    first, second, other = (images.load(studio.sample(4, 0.7, seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_results_say_that_they_are_synthetic(studio, cast, tiny_transferer, tmp_path):
    manifest = tiny_transferer.manifest
    result = studio.transfer(*cast, 0.5)
    for path in (result.face, result.shown):
        assert read(path).mark() == Mark(EDITED, manifest.name, manifest.model_hash, (0.5,))
    assert read(studio.sample(1, 0.7, 1)).source_type == GENERATED
    strip, animation = studio.sweep(*cast, 0, 1, 3)
    assert read(strip).alphas == read(animation).alphas == (0, 0.5, 1)
    unmarked = Studio(tiny_transferer, tmp_path / "results", marks=Marks(wanted=False))
    assert read(unmarked.transfer(*cast, 0.5).face).mark() is None


def test_faces_are_enlarged_by_a_whole_factor():
    assert enlarged(np.zeros((64, 64, 3), np.uint8)).size == (384, 384)
    assert enlarged(np.zeros((256, 256, 3), np.uint8)).size == (512, 512)
    assert enlarged(np.zeros((512, 512, 3), np.uint8)).size == (512, 512)
    assert SHOWN_PX == 384


def test_only_the_last_results_are_kept(studio, cast, tmp_path, monkeypatch):
    monkeypatch.setattr("flowxfer.app.studio._KEPT", 3)
    results = [studio.transfer(*cast, alpha) for alpha in (0, 0.1, 0.2, 0.3)]
    assert [result.face.exists() for result in results] == [False, True, True, True]


def test_sessions_may_share_a_studio(studio, cast):
    expected = {alpha: images.load(studio.transfer(*cast, alpha).face) for alpha in (0.1, 0.5, 0.9)}
    wrong = []

    def work(alpha):
        for _ in range(5):
            if not np.array_equal(images.load(studio.transfer(*cast, alpha).face), expected[alpha]):
                wrong.append(alpha)

    threads = [threading.Thread(target=work, args=[alpha]) for alpha in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---------------------------------------------------------------- uploads


def test_a_face_of_the_models_size_is_taken_as_it_is(studio, picture):
    choice = studio.upload([str(picture)])
    assert np.array_equal(choice.picture.face, images.load(picture))
    assert (choice.picture.name, choice.picture.photo) == ("me.png", None)


def test_several_are_averaged(studio, picture, tiny_transferer):
    choice = studio.upload([str(picture), str(picture)])
    assert choice.picture.name == "mean of 2"
    assert np.abs(choice.picture.face.astype(int) - images.load(picture)).max() <= 1


def test_a_square_picture_without_a_face_to_find_is_resized(studio, picture, tmp_path, monkeypatch):
    images.save(images.load(picture).repeat(2, 0).repeat(2, 1), tmp_path / "large.png")
    for found in ([], MissingExtraError("dlib", "faces", "DlibDetector")):

        def align(pixels, *, size, found=found):
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr("flowxfer.app.faces.align", align)
        assert np.array_equal(studio.upload([str(tmp_path / "large.png")]).picture.face, images.load(picture))


def test_a_square_picture_whose_eyes_are_in_their_places_is_no_photograph(studio, tmp_path, monkeypatch, picture):
    from flowxfer.faces import EYES, Aligned, Face

    images.save(images.load(picture).repeat(2, 0).repeat(2, 1), tmp_path / "large.png")
    for off_px, whole in ((0, False), (6, True)):
        face = Face((0, 0, 64, 64), np.array(EYES) * 64 + off_px, 1.0)
        monkeypatch.setattr(
            "flowxfer.app.faces.align", lambda pixels, *, size, face=face: [Aligned.cut(pixels, face, size)]
        )
        assert (studio.upload([str(tmp_path / "large.png")]).picture.photo is not None) == whole


def test_a_photograph_is_aligned_and_pasted_back(studio, cast, photo):
    target = studio.upload([str(photo)])
    assert target.picture.face.shape == (SIZE, SIZE, 3)
    unchanged = studio.photograph(target, *cast[1:], 0.0)
    assert np.array_equal(images.load(unchanged), images.load(photo))
    changed = images.load(studio.photograph(target, *cast[1:], 1.0))
    assert changed.shape == (64, 96, 3)
    assert not np.array_equal(changed, images.load(photo))
    assert np.array_equal(changed[:, 90:], images.load(photo)[:, 90:])  # far from the face


def test_a_photograph_keeps_its_metadata_and_its_file_as_long_as_it_is_chosen(studio, cast, photo, tmp_path):
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Copyright] = 1, "somebody"
    with Image.open(photo) as image:
        image.save(tmp_path / "photo.jpg", exif=exif, icc_profile=profile, xmp=XMP)
    target = studio.upload([str(tmp_path / "photo.jpg")])
    (tmp_path / "photo.jpg").unlink()  # as Gradio does after an hour
    changed = studio.photograph(target, *cast[1:], 1.0)
    with Image.open(changed) as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif()[ExifTags.Base.Copyright] == "somebody"
        assert ExifTags.Base.Orientation not in image.getexif()
    assert b"Nowhere" in changed.read_bytes()
    assert read(changed).model == studio.flow.manifest.name
    file = target.picture.file
    assert file.exists()
    del target
    gc.collect()
    assert not file.parent.exists()


def test_mistakes(studio, cast, tmp_path, photo, monkeypatch):
    with pytest.raises(InputError, match="expected a target from a photograph, got an aligned face"):
        studio.photograph(*cast, 1.0)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ImageError, match="expected a picture .* in .*broken.png, got something else"):
        studio.upload([str(tmp_path / "broken.png")])
    monkeypatch.setattr("flowxfer.app.faces.align", lambda picture, *, size: [])
    with pytest.raises(ImageError, match=r"expected a face in photo.png, found none; it may be too small"):
        studio.upload([str(photo)])


def test_the_detector_that_is_not_installed_is_named(photo, monkeypatch):
    def align(picture, *, size):
        raise MissingExtraError("dlib", "faces", "DlibDetector")

    monkeypatch.setattr("flowxfer.app.faces.align", align)
    with pytest.raises(MissingExtraError, match=r"pip install 'flowxfer\[faces\]'"):
        faces.read(photo, SIZE)


def test_without_the_demo_people_or_film(monkeypatch, tmp_path):
    monkeypatch.setattr("flowxfer.images.people.resources.files", lambda package: tmp_path)
    with pytest.raises(
        InputError, match="expected the demo people at .*, but nothing is there; install flowxfer again"
    ):
        faces.demo(SIZE)
    with pytest.raises(InputError, match="expected the demo film at .*person.mp4, but nothing is there; install"):
        faces.demo_film()


# ---------------------------------------------------------------- sentences


def test_what_goes_wrong_becomes_a_sentence_on_the_page(caplog):
    import gradio as gr

    from flowxfer.app.folder import FOLDER
    from flowxfer.app.sentences import said

    def fail(error):
        raise error

    for error, sentence in (
        (InputError("expected a, got b"), "expected a, got b"),
        (OSError(28, "No space left on device", "x.png"), "No space left on device: x.png"),
        (gr.Error("as it is"), "as it is"),
        (
            InputError(f"expected a film in {FOLDER}/gradio/0a1b/my film.mp4, got"),
            "expected a film in my film.mp4, got",
        ),
        (OSError(2, "No such file", f"{FOLDER}/gradio/0a1b/x.png"), "No such file: x.png"),
    ):
        with pytest.raises(gr.Error) as caught:
            said(fail)(error)
        assert caught.value.message == sentence
    assert not caplog.records
    with pytest.raises(gr.Error, match="it is a mistake of flowxfer; the log"):
        said(fail)(KeyError("secret"))
    assert "an action of the page failed" in caplog.text


@pytest.mark.parametrize("value", ["0.5", True, -0.6, 1.6, float("nan"), float("inf"), [0.5]])
def test_what_is_no_number_in_a_field_becomes_a_sentence(value):
    import gradio as gr

    from flowxfer.app import fields

    asked = [fields.slider(-0.5, 1.5, 0.8, label="alpha"), fields.number(-0.5, 1.5, 0.8, label="alpha")]
    for field in asked:
        with pytest.raises(gr.Error) as caught:
            field.preprocess(value)
        assert caught.value.message == f"expected a number from -0.5 to 1.5 for alpha, got {value}"
        assert field.preprocess(-0.5) == -0.5
    assert fields.number(0, 9, 1, label="Seed", whole=True).preprocess(3.0) == 3


def test_an_empty_field_is_a_sentence_once_its_number_is_needed():
    import gradio as gr

    from flowxfer.app import fields
    from flowxfer.app.sentences import said

    empty = fields.slider(-0.5, 1.5, 0.8, label="alpha").preprocess(None)
    with pytest.raises(gr.Error) as caught:
        said(print)(1, empty)
    assert caught.value.message == "expected a number from -0.5 to 1.5 for alpha, got none"
