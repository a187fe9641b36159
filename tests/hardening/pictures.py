"""Pictures, films and the marks in them."""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from flowxfer import images
from flowxfer.provenance import Mark, Signer, make_test_certificate, mark, marked, read
from flowxfer.provenance import jpeg as jpeg_marks
from flowxfer.provenance import png as png_marks
from flowxfer.provenance import webp as webp_marks
from flowxfer.provenance.xmp import packet
from flowxfer.video import open_source
from tests.hardening.law import Kind, file, tried
from tests.hardening.mutation import mutated, with_checksums

MARK = Mark(model="tiny", model_hash="ab" * 32, alphas=(0.4, (0.3, 0.4, 0.5)))
_SIDE = 24
_PIXELS = np.random.default_rng(7).integers(0, 256, (_SIDE, _SIDE, 4), np.uint8)
_PIXELS[:, :, :3] = np.linspace(0, 255, _SIDE).astype(np.uint8)[:, None]


def saved(format_: str, mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(_PIXELS).convert(mode).save(out, format_, **options)
    return out.getvalue()


def animated(format_: str) -> bytes:
    frames = [Image.fromarray(np.roll(_PIXELS[:, :, :3], step, 0)) for step in range(3)]
    out = io.BytesIO()
    frames[0].save(out, format_, save_all=True, append_images=frames[1:], duration=100)
    return out.getvalue()


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "a camera"
    return tags.tobytes()


def _load(path: Path) -> object:
    return images.load(path)


def _as_face(path: Path) -> object:
    return images.load_faces(path, 16, resize=True)


def _written_again(path: Path) -> None:
    """What `flowxfer photo` does: the new picture keeps the colour profile and EXIF of the one that it came from."""
    images.save(images.load(path), path.with_name(f"out{path.suffix}"), MARK, original=path)


def _pictures(name: str, *seeds: bytes, repair: Callable[[bytes], bytes] | None = None) -> Callable:
    uses = (_load, _as_face, read)
    if Path(name).suffix in (".png", ".jpg", ".webp"):
        uses = (*uses, _written_again)
    return file(name, seeds, *uses, repair=repair)


def png(folder: Path) -> Callable:
    """PNG of each kind of colours, interlaced or not, with text, EXIF and marks."""
    seeds = [saved("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    seeds += [saved("PNG", exif=exif(), icc_profile=b"x" * 16 + b"RGB " + bytes(120)), animated("PNG")]
    return _pictures("a.png", *seeds, marked(seeds[0], MARK), repair=with_checksums)(folder)


def jpeg(folder: Path) -> Callable:
    """JPEG: baseline, progressive, grey, CMYK, with EXIF and marks."""
    seeds = [saved("JPEG"), saved("JPEG", "L"), saved("JPEG", "CMYK"), saved("JPEG", progressive=True)]
    return _pictures("a.jpg", *seeds, saved("JPEG", exif=exif(), dpi=(72, 72)), marked(seeds[0], MARK))(folder)


def webp(folder: Path) -> Callable:
    """WebP: lossless, lossy, with transparency, animated, with EXIF and marks."""
    seeds = [saved("WEBP", lossless=True), saved("WEBP"), saved("WEBP", "RGBA"), animated("WEBP")]
    return _pictures("a.webp", *seeds, saved("WEBP", exif=exif()), marked(seeds[0], MARK))(folder)


def gif(folder: Path) -> Callable:
    """GIF, single and animated."""
    seeds = saved("GIF"), saved("GIF", "P", transparency=0), animated("GIF")
    return _pictures("a.gif", *seeds, marked(seeds[0], MARK))(folder)


def other_pictures(folder: Path) -> Callable:
    """The other formats that are read."""
    seeds = [saved("BMP"), saved("TIFF"), saved("TIFF", "I;16", compression="tiff_lzw"), saved("PPM")]
    return _pictures("a.tif", *seeds, saved("AVIF"), saved("JPEG2000"))(folder)


def xmp(folder: Path) -> Callable:
    """Damaged packets in sound pictures."""
    pictures = {"a.png": (png_marks, saved("PNG")), "a.jpg": (jpeg_marks, saved("JPEG"))}
    pictures["a.webp"] = (webp_marks, saved("WEBP"))
    seeds = packet(MARK), packet(MARK, packet(Mark(model="é\u20ac", model_hash="")))

    def attempt(random: Random) -> None:
        name = random.choice(sorted(pictures))
        format_, picture = pictures[name]
        (folder / name).write_bytes(format_.embed(picture, mutated(seeds, random)))
        tried(read, folder / name)
        tried(mark, folder / name, MARK)

    return attempt


def films(folder: Path) -> Callable:
    """MP4, with and without sound and fragments, and Matroska."""
    from tests.video.films import make_film

    small = {"frames": 4, "size": (16, 32)}
    with tempfile.TemporaryDirectory() as name:
        sound = make_film(Path(name, "sound.mp4"), **small, sounds=["aac"]).read_bytes()
        plain = make_film(Path(name, "plain.mp4"), **small).read_bytes()
        matroska = make_film(Path(name, "a.mkv"), **small, codec="ffv1", pixel_format="yuv420p").read_bytes()

    def frames(path: Path) -> None:
        with open_source(path) as source:
            for _ in itertools.islice(source.frames(), 8):
                pass

    return file("a.mp4", [sound, plain, matroska], frames, read)(folder)


def certificates(folder: Path) -> Callable:
    """Certificates and keys in PEM, with which a picture would be signed."""
    with tempfile.TemporaryDirectory() as name:
        paths = Path(name, "chain.pem"), Path(name, "key.pem")
        make_test_certificate(*paths)
        pair = [path.read_bytes() for path in paths]

    def attempt(random: Random) -> None:
        files = folder / "chain.pem", folder / "key.pem"
        damaged = random.randrange(2)
        for index, path in enumerate(files):
            path.write_bytes(mutated(pair, random) if index == damaged else pair[index])
        tried(Signer, *files)

    return attempt


KINDS = {
    "png": Kind(2500, png),
    "jpeg": Kind(2000, jpeg),
    "webp": Kind(1200, webp),
    "gif": Kind(1500, gif),
    "other-pictures": Kind(800, other_pictures),
    "xmp": Kind(2500, xmp),
    "films": Kind(500, films),
    "certificates": Kind(300, certificates),
}
