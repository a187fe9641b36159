"""Pictures in and out: each format, each way of storing colours, each error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowxfer import images
from flowxfer.errors import ImageError, InputError, ShapeError


@pytest.fixture
def pixels():
    """A smooth picture, so that lossy formats come close to it: (24, 24, 3), uint8."""
    y, x = np.mgrid[0:24, 0:24]
    return np.stack([8 * x, 8 * y, 4 * (x + y)], axis=2).astype(np.uint8)


def stored(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


# ---------------------------------------------------------------- what a picture may be stored as


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_lossless_formats_return_every_pixel(tmp_path, pixels, suffix):
    images.save(pixels, tmp_path / f"face{suffix}")
    assert np.array_equal(images.load(tmp_path / f"face{suffix}"), pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_comes_close(tmp_path, pixels, suffix):
    images.save(pixels, tmp_path / f"face{suffix}")
    assert np.abs(images.load(tmp_path / f"face{suffix}").astype(int) - pixels).max() <= 8


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".ppm"])
def test_other_formats_are_read(tmp_path, pixels, suffix):
    assert np.array_equal(images.load(stored(Image.fromarray(pixels), tmp_path / f"face{suffix}")), pixels)


def test_path_string_image_and_array_are_the_same(tmp_path, pixels):
    path = stored(Image.fromarray(pixels), tmp_path / "face.png")
    for source in (path, str(path), Image.open(path), Image.fromarray(pixels), pixels):
        loaded = images.load(source)
        assert loaded.dtype == np.uint8
        assert np.array_equal(loaded, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, pixels, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose that turns an upright picture into a stored one
    image = Image.fromarray(pixels[:16])
    turned = image.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(images.load(stored(turned, tmp_path / "face.png", exif=exif)), pixels[:16])


def test_grey_becomes_rgb(tmp_path, pixels):
    grey = pixels[:, :, 0]
    expected = np.stack([grey] * 3, axis=2)
    assert np.array_equal(images.load(stored(Image.fromarray(grey), tmp_path / "face.png")), expected)
    assert np.array_equal(images.load(grey), expected)
    assert np.array_equal(images.load(grey[:, :, None]), expected)


def test_black_and_white_becomes_rgb(tmp_path):
    path = stored(Image.new("1", (4, 4), 1), tmp_path / "face.png")
    assert np.array_equal(images.load(path), np.full((4, 4, 3), 255))


def test_transparency_is_laid_over_white(tmp_path):
    half = np.zeros((2, 2, 4), np.uint8)
    half[0, 0] = 200, 100, 0, 255
    half[0, 1] = 0, 0, 0, 128
    expected = [[[200, 100, 0], [127] * 3], [[255] * 3, [255] * 3]]
    assert images.load(half).tolist() == expected
    assert images.load(stored(Image.fromarray(half), tmp_path / "face.png")).tolist() == expected


def test_grey_with_alpha_and_transparent_palette(tmp_path):
    assert images.load(stored(Image.new("LA", (1, 1), (9, 0)), tmp_path / "la.png")).tolist() == [[[255] * 3]]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert images.load(stored(palette, tmp_path / "p.png")).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    path = stored(palette, tmp_path / "pt.png", transparency=0)
    assert images.load(path).tolist() == [[[255] * 3, [40, 50, 60]]]


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 32896, 65535]], np.uint16)
    path = stored(Image.fromarray(values), tmp_path / "deep.png")
    assert images.load(path)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    path = stored(Image.fromarray(values), tmp_path / "deep.tif")
    assert images.load(path)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_cmyk(tmp_path):
    path = stored(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), tmp_path / "face.jpg")
    red, green, blue = images.load(path)[4, 4].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = stored(frames[0], tmp_path / "face.gif", save_all=True, append_images=frames[1:])
    assert np.array_equal(images.load(path), np.asarray(frames[0]))


# ---------------------------------------------------------------- sizes


def test_a_square_picture_is_resized_when_asked(pixels):
    assert np.array_equal(images.load(np.full((24, 24, 3), 7, np.uint8), 10), np.full((10, 10, 3), 7))
    blocks = pixels.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(images.load(blocks, 24), pixels)  # the box filter undoes a repetition exactly


def test_a_face_of_another_size_is_refused_unless_resized(tmp_path, pixels):
    path = stored(Image.fromarray(pixels), tmp_path / "face.png")
    refusal = r"expected faces of 12x12 pixels, got 24x24 in .*face.png; flowxfer.images.load_faces.*resize=True"
    with pytest.raises(ShapeError, match=refusal):
        images.load_faces(path, 12)
    assert images.load_faces(path, 12, resize=True).shape == (1, 12, 12, 3)


def test_a_picture_that_is_not_square_is_refused(pixels):
    with pytest.raises(ShapeError, match="expected faces of 24x24 pixels, got 24x16; flowxfer.faces.align"):
        images.load_faces(pixels[:16], 24)
    with pytest.raises(ShapeError, match="expected a square face, got 24x16 pixels in the array; crop it first"):
        images.load_faces(pixels[:16], 24, resize=True)


# ---------------------------------------------------------------- many pictures


def test_load_faces_takes_folders_arrays_and_nested_sequences(tmp_path, pixels):
    path = stored(Image.fromarray(pixels), tmp_path / "face.png")
    for sources, count in [
        (path, 1),
        (tmp_path, 1),
        ([path, Image.fromarray(pixels), pixels], 3),
        (np.stack([pixels, pixels]), 2),
        ([pixels, [pixels, tmp_path]], 3),
        ((pixels for _ in range(2)), 2),
    ]:
        faces = images.load_faces(sources, 24)
        assert faces.shape == (count, 24, 24, 3)
        assert all(np.array_equal(face, pixels) for face in faces)


def test_expand_sorts_by_number_and_keeps_the_order_of_arguments(tmp_path):
    for name in ("b/face10.png", "b/face2.PNG", "b/notes.txt", "b/.hidden.png", "a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = images.expand([tmp_path / "b", tmp_path / "a.jpg", tmp_path / "b" / "*1*.png", tmp_path / "b/notes.txt"])
    assert [path.name for path in found] == ["face2.PNG", "face10.png", "a.jpg", "face10.png", "notes.txt"]


def test_expand_errors(tmp_path):
    with pytest.raises(ImageError, match=r"expected a picture or a folder of pictures at .*nowhere, but there is noth"):
        images.expand([tmp_path / "nowhere"])
    with pytest.raises(ImageError, match=r"expected pictures \(\.png, .*\) in .*, but there are none"):
        images.expand([tmp_path])
    with pytest.raises(ImageError, match="but there are none"):
        images.expand([tmp_path / "*.png"])


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 24, 24, 3), np.uint8), ()])
def test_no_pictures(nothing):
    with pytest.raises(ImageError, match="expected at least one picture, got none"):
        images.load_faces(nothing, 24)


# ---------------------------------------------------------------- errors


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"expected a picture at .*nowhere.png, but there is no such file"):
        images.load(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="but it cannot be read: Is a directory"):
        images.load(tmp_path)


def test_empty_and_foreign_files(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"in .*empty.png, got an empty file"):
        images.load(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ImageError, match=r"in .*text.png, got something else or a damaged file"):
        images.load(tmp_path / "text.png")


def test_formats_that_start_other_programs_are_not_opened(tmp_path):
    (tmp_path / "face.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    with pytest.raises(ImageError, match=r"in .*face.eps, got something else"):
        images.load(tmp_path / "face.eps")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_a_file_cut_short_at_any_place_gives_one_error_or_the_picture(tmp_path, format_):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format_)
    whole = buffer.getvalue()
    path = tmp_path / "face.bin"
    refused = 0
    for length in range(1, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        try:
            assert images.load(path).shape == (40, 40, 3)
        except ImageError:
            refused += 1
    assert refused > 40


def test_cut_short_message(tmp_path, pixels):
    images.save(np.tile(pixels, (20, 20, 1)), tmp_path / "face.jpg")
    data = (tmp_path / "face.jpg").read_bytes()
    (tmp_path / "face.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"face.jpg is damaged or cut short: .*; fetch or export it again"):
        images.load(tmp_path / "face.jpg")


@pytest.mark.parametrize("factor", [1, 4])
def test_decompression_bomb(tmp_path, pixels, monkeypatch, factor):
    path = stored(Image.fromarray(pixels), tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 24 // factor - 1)
    with pytest.raises(ImageError, match=r"bomb.png is larger than \d+ pixels; make it smaller first"):
        images.load(path)


@pytest.mark.parametrize(
    ("dtype", "way_out"),
    [
        ("float32", r"\(x \* 255\)\.round\(\)\.clip\(0, 255\)\.astype\('uint8'\)"),
        ("uint16", r"\(x // 257\)\.astype\('uint8'\)"),
        ("int64", r"x\.astype\('uint8'\)"),
    ],
)
def test_other_dtypes_are_refused_with_a_way_out(dtype, way_out):
    with pytest.raises(ShapeError, match=f"expected uint8 colours from 0 to 255, got {dtype}; {way_out}"):
        images.load(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (4, 4, 5), (0, 4, 3), (2, 4, 4, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected an array of shape \(H, W\), \(H, W, 3\) or \(H, W, 4\), got \("):
        images.load(np.zeros(shape, np.uint8))


def test_floating_point_and_wide_integers(tmp_path):
    path = stored(Image.new("F", (4, 4)), tmp_path / "depth.tif")
    with pytest.raises(
        ImageError, match=r"8 or 16 bits a colour in .*depth.tif, got floating point; convert it to PNG"
    ):
        images.load(path)
    path = stored(Image.new("I", (4, 4), 70000), tmp_path / "wide.tif")
    with pytest.raises(ImageError, match=r"8 or 16 bits a colour in .*, got values from 70000 to 70000"):
        images.load(path)


class Tensor(list):
    """Looks like an array of another library."""

    def __array__(self):
        raise AssertionError("nobody asked")


@pytest.mark.parametrize("source", [None, 3, Tensor()])
def test_what_is_no_picture(source):
    with pytest.raises(InputError, match=f"got {type(source).__name__}"):
        images.load(source)
    with pytest.raises(InputError, match=f"expected pictures: paths, PIL .*, got {type(source).__name__}"):
        images.load_faces([source], 4)


# ---------------------------------------------------------------- out


def test_save_makes_the_folder_and_refuses_other_suffixes(tmp_path, pixels):
    images.save(pixels, tmp_path / "new" / "face.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["face.png"]
    with pytest.raises(ImageError, match=r"expected a name that ends in .png, .jpg, .jpeg, .webp, got .*face.tga"):
        images.save(pixels, tmp_path / "face.tga")
    with pytest.raises(ShapeError, match="expected uint8"):
        images.save(pixels / 255, tmp_path / "other.png")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_failed_save_leaves_the_old_file(tmp_path, pixels, monkeypatch):
    path = tmp_path / "face.png"
    images.save(pixels, path)

    def full_disk(self, target, **options):
        Path(target).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        images.save(pixels, path)
    monkeypatch.undo()
    assert np.array_equal(images.load(path), pixels)
    assert list(tmp_path.iterdir()) == [path]
