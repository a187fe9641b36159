"""Marks onto pictures and films, and back from them."""

from __future__ import annotations

import io
import logging
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flowxfer.errors import MissingExtraError, ProvenanceError
from flowxfer.files import replacing
from flowxfer.provenance import mp4, xmp
from flowxfer.provenance.formats import MATROSKA, MOV, MP4, Format, recognise
from flowxfer.provenance.marks import SYNTHETIC, Mark, parse_alpha
from flowxfer.provenance.parts import Buffer, Found
from flowxfer.provenance.signing import Manifest, read_manifest, sign
from flowxfer.types import Alpha

__all__ = ["Provenance", "check_suffix", "inherited", "mark", "marked", "marking", "read", "stamp"]

log = logging.getLogger(__name__)

_MOST_KEPT = 60_000  # bytes of a photograph's XMP: with the mark they fit into a segment of JPEG


@dataclass(frozen=True)
class Provenance:
    """What a file says of how it was made.

    Args:
        source_type: IPTC's digital source type from its XMP.
        tool: the program that made it first.
        model: the model that flowxfer used.
        model_hash: identity of that model.
        alphas: the strengths of the transfers in it.
        manifest: its C2PA manifest; where c2pa-python is not installed, its state is ``Unchecked``.
    """

    source_type: str | None = None
    tool: str | None = None
    model: str | None = None
    model_hash: str | None = None
    alphas: tuple[Alpha, ...] = ()
    manifest: Manifest | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it says that it is no plain picture of what was there; False says nothing."""
        return bool(SYNTHETIC & {self.source_type, *(self.manifest.source_types if self.manifest else ())})

    def mark(self) -> Mark | None:
        """The mark that a copy or a part of the file needs; None if it does not say that it is synthetic."""
        signed = self.manifest.source_types if self.manifest else ()
        types = [code for code in (self.source_type, *signed) if code in SYNTHETIC]
        return Mark(types[0], self.model, self.model_hash, self.alphas) if types else None


def read(path: str | os.PathLike[str], *, trust: Path | None = None) -> Provenance:
    """Read what a picture or film says of how it was made, whoever wrote it.

    Args:
        path: PNG, JPEG, WebP, GIF, MP4, MOV, Matroska or WebM; of other formats only XMP that is not packed is found.
        trust: a PEM file of certificates; what they or those below them signed in C2PA is trusted.

    Raises:
        ProvenanceError: the file is damaged, or what it says cannot be read.
        OSError: there is no such file.
    """
    path = Path(path)
    with _mapped(path) as data:
        format_, found = _find(data, path)
    manifest = _manifest(path, format_, trust) if found.manifest else None
    try:
        said = xmp.properties(found.xmp) if found.xmp else {}
    except ValueError as error:
        raise ProvenanceError(f"expected to read the provenance of {path}, but {error}") from error
    first = {name: values[0] for name, values in said.items()}
    return Provenance(
        source_type=first.get(xmp.SOURCE_TYPE),
        tool=first.get(xmp.CREATOR_TOOL),
        model=first.get(xmp.MODEL),
        model_hash=first.get(xmp.MODEL_HASH),
        alphas=tuple(_alphas(said.get(xmp.ALPHA, ()))),
        manifest=manifest,
    )


def inherited(path: str | os.PathLike[str]) -> Mark | None:
    """The mark that a copy or a part of a picture needs: the picture's own, if it says that it is synthetic."""
    try:
        return read(path).mark()
    except ProvenanceError as error:
        log.warning("%s; what is made of it carries no mark", error)
        return None


def mark(path: str | os.PathLike[str], mark: Mark) -> None:
    """Mark a finished picture or film (PNG, JPEG, WebP, GIF, MP4, MOV), whole or not at all; no pixel changes.

    Raises:
        ProvenanceError: the file is damaged or of another format, or cannot be signed.
        OSError: there is no such file.
    """
    path = Path(path)
    with _mapped(path) as data:
        _find(data, path)  # whose error names this file, and not the copy
    with replacing(path) as temporary:
        shutil.copyfile(path, temporary)
        stamp(temporary, mark)


@contextmanager
def marking(path: Path, mark: Mark | None, *, parent: Path | None = None) -> Iterator[Path]:
    """:func:`flowxfer.files.replacing`, which marks what was written before it takes its name.

    Args:
        path: the picture's or film's name.
        mark: what to say; None leaves it unmarked.
        parent: the picture that was changed: the XMP that it has is kept below the mark, and a C2PA manifest names it.
    """
    with replacing(path) as temporary:
        yield temporary
        if mark is not None:
            stamp(temporary, mark, parent=parent)


def marked(data: bytes, mark: Mark, *, parent: Path | None = None) -> bytes:
    """Mark a picture in memory: PNG, JPEG, WebP or GIF.

    Args:
        data: the picture.
        mark: what to say.
        parent: as in :func:`marking`.

    Raises:
        ProvenanceError: it is damaged or something else, or cannot be signed.
    """
    format_, found = _find(data, None)
    if format_.embed is None:
        raise ProvenanceError(f"expected a PNG, JPEG, WebP or GIF picture to mark, got {format_.name}")
    existing = found.xmp if parent is None else _passed_on(parent)
    try:
        data = format_.embed(data, _packet(mark, existing))
    except ValueError as error:
        raise ProvenanceError(f"expected a picture to mark, but {error}") from error
    if mark.signer is None:
        return data
    signed = io.BytesIO()
    _sign(io.BytesIO(data), signed, format_, mark, parent)
    return signed.getvalue()


def stamp(path: Path, mark: Mark, *, parent: Path | None = None) -> None:
    """Mark a picture or film where it lies: a crash on the way leaves it damaged, so this is for temporary files.

    Raises:
        ProvenanceError: as :func:`mark`; or a Matroska film was written without :func:`tags`.
    """
    with _mapped(path) as data:
        format_, found = _find(data, path)
    if format_ is MATROSKA:
        if found.xmp is None or mark.signer is not None:
            raise ProvenanceError("Matroska is marked by the muxer, with flowxfer.provenance.tags(), and never signed")
    elif format_ in (MP4, MOV):
        try:
            mp4.embed(path, _packet(mark, found.xmp))
        except ValueError as error:
            raise ProvenanceError(f"expected a film to mark, but {error}") from error
        if mark.signer is not None:
            with replacing(path) as signed, path.open("rb") as source, signed.open("w+b") as target:
                _sign(source, target, format_, mark, parent)
    else:
        path.write_bytes(marked(path.read_bytes(), mark, parent=parent))


def check_suffix(path: Path, mark: Mark | None) -> None:
    """Refuse what :func:`stamp` would refuse of a film with this name, before there is a film.

    Raises:
        ProvenanceError: it is to be signed, and C2PA knows nothing of Matroska.
    """
    if mark is not None and mark.signer is not None and path.suffix.lower() in (".mkv", ".webm"):
        raise ProvenanceError(f"expected a film that C2PA can sign, an .mp4 or .mov, got {path}")


def _find(data: Buffer, path: Path | None) -> tuple[Format, Found]:
    format_ = recognise(data)
    try:
        return format_, format_.find(data)
    except ValueError as error:
        raise ProvenanceError(f"{path or 'the picture'} is damaged: {error}; fetch or make it again") from error


def _packet(mark: Mark, existing: bytes | None) -> bytes:
    try:
        return xmp.packet(mark, existing)
    except ValueError as error:
        log.warning("XMP that cannot be read is replaced: %s", error)
        return xmp.packet(mark)


def _passed_on(parent: Path) -> bytes | None:
    """What a picture's new version keeps of its XMP; nothing of one that is damaged, or more than any format holds."""
    try:
        with _mapped(parent) as data:
            existing = _find(data, parent)[1].xmp
        kept = xmp.passed_on(existing) if existing else None
        if existing and b"HasExtendedXMP" in existing:
            log.warning("the extended XMP of %s is left behind: only its main part is kept", parent)
    except (ProvenanceError, ValueError) as error:
        log.warning("the XMP of %s is left behind: %s", parent, error)
        return None
    if kept is not None and len(kept) > _MOST_KEPT:
        log.warning("the XMP of %s is left behind: its %s bytes are more than JPEG holds", parent, f"{len(kept):,}")
        return None
    return kept


def _sign(source: BinaryIO, target: BinaryIO, format_: Format, mark: Mark, parent: Path | None) -> None:
    if parent is None:
        sign(source, target, format_.mime, mark)
        return
    with parent.open("rb") as file:
        parent_format = recognise(file.read(16))
        file.seek(0)
        sign(source, target, format_.mime, mark, (file, parent_format.mime) if parent_format.embed else None)


def _manifest(path: Path, format_: Format, trust: Path | None) -> Manifest | None:
    try:
        with path.open("rb") as file:
            return read_manifest(file, format_.mime, trust)
    except MissingExtraError:
        return Manifest("Unchecked")


def _alphas(texts: tuple[str, ...]) -> Iterator[Alpha]:
    for text in texts:
        try:
            yield parse_alpha(text)
        except ValueError:
            log.debug("no alpha: %r", text)


@contextmanager
def _mapped(path: Path) -> Iterator[Buffer]:
    """Yield a file's bytes, of which only those that are looked at are read."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:  # which cannot be mapped
            raise ProvenanceError(f"expected a picture or film in {path}, got an empty file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
