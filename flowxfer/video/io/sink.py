"""Where frames go: a film, or a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from flowxfer.errors import InputError, VideoError
from flowxfer.files import destination, flows_on, same_file
from flowxfer.provenance import Mark, check_suffix
from flowxfer.video.io.frames import Box, Frame, New
from flowxfer.video.io.picture_sink import PictureSegmentWriter
from flowxfer.video.io.segments import SegmentedSink
from flowxfer.video.io.source import Source, require_av
from flowxfer.video.io.work_folder import Work

__all__ = ["Sink", "check_free", "open_sink"]


class Sink(Protocol):
    """Takes frames in order; a context manager.

    Leaving it normally finishes the output and puts it into its place. Leaving it by an exception (Ctrl-C too) keeps
    what is safe in the work folder, for ``resume``.

    Attributes:
        done: frames that are safe from an earlier run: go on with ``source.frames(sink.done)``.
        state: what was handed over with the last of them; None if there is none.
    """

    done: int
    state: dict[str, Any] | None

    def write(
        self, frame: Frame, pixels: New, box: Box | None, *, record: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """Write the next frame.

        Args:
            frame: as it came from the source.
            pixels: the new picture, RGB, upright, shape (H, W, 3), uint8; or what is added to the frame.
            box: the rectangle that may have changed; None if nothing did.
            record: what is to be known about this frame, JSON values; a line of the log.
            state: what a resumed run needs to go on after this frame, JSON values.
        """
        ...

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all frames so far, of the earlier run too, in order, until the sink is left."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(
    output: str | os.PathLike[str],
    source: Source,
    *,
    codec: str | None = None,
    quality: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
    log: str | os.PathLike[str] | None = None,
    segment_frames: int = 250,
    mark: Mark | None = None,
    keep: Iterable[Path] = (),
) -> Sink:
    """Open a film, or a folder of PNG pictures, for writing.

    The output appears under its name when it is whole. Until then all is in ``.NAME.partial`` beside it, in segments
    that are safe as soon as they are there; a frame that is not in a safe segment is done again by a resumed run, which
    then writes the very packets that an uninterrupted one writes.

    A film of mp4, m4v, mov, mkv or webm keeps the source's frame times (mkv and webm count in milliseconds),
    pixel format, colours, pixel aspect and rotation, and gets the sound, subtitles, attachments, chapters and metadata
    that its container can hold. A picture without a box is encoded from the planes that were decoded, one with a box
    from these and the change in it: no detour by RGB. The exceptions: webm holds no rotation, so turned films are
    stored upright there; a pixel format that the encoder lacks becomes the nearest one; H.264, HEVC and AV1 repeat a
    last row or column where a size is odd.

    Args:
        output: the film, whose suffix is the container's; or a folder, whose pictures are named as those of the
            source, or ``frame_000001.png`` and so on.
        source: where the frames come from.
        codec: of a film: ``"h264"`` (the default), ``"hevc"``, ``"vp9"`` (the default for webm), ``"av1"``, ``"ffv1"``
            (lossless) or any encoder's name in FFmpeg.
        quality: constant quality (crf): lower is better, 0 is lossless but for AV1; by default 18 for H.264, 20 for
            HEVC, 24 for VP9, 25 for AV1.
        resume: go on with an unfinished run of the same source, settings, codec and PyAV; where there is none, begin.
        overwrite: replace an output and a log that are there, and without ``resume`` also an unfinished run.
        settings: what the edit depends on, such as the model's hash and alpha, JSON values; resume refuses others.
        log: where the frames' records go when the output is whole, one JSON line a frame.
        segment_frames: frames that become safe together; a key frame begins each.
        mark: what the film, or each picture, says of how it was made; by default nothing. Resume refuses another.
        keep: files that neither the output nor the log replaces, beside the source.

    Raises:
        VideoError: the output or the log is there, or is an input; the folder cannot be written to; the codec is
            unknown or the
            container cannot hold it; an unfinished run is there and is not asked for, or is another; another run is
            writing.
        InputError: ``segment_frames`` is less than 1.
        ProvenanceError: the film is to be signed, and its container cannot hold a signature.
        MissingExtraError: the output is a film, and PyAV is not installed.
    """
    path, log_path = Path(output), None if log is None else Path(log)
    if segment_frames < 1:
        raise InputError(f"expected segments of at least 1 frame, got {segment_frames}")
    is_folder = path.is_dir() or not path.suffix
    check = _check_folder if is_folder else check_free
    check(path, [source.path, *keep], overwrite=overwrite)
    if log_path is not None:
        check_free(log_path, [source.path, *keep, path], overwrite=overwrite)
    path = destination(path)  # so that the work folder is on its disk
    job: dict[str, Any] = {
        "source": source.fingerprint,
        "settings": dict(settings or {}),
        "segment_frames": segment_frames,
        "mark": mark and mark.settings,
    }
    if is_folder:
        work = Work(path, job, resume=resume, overwrite=overwrite)
        return SegmentedSink(
            work, PictureSegmentWriter(work, getattr(source, "names", None), mark), segment_frames, log_path
        )
    require_av(f"the film {path}")
    check_suffix(path, mark)
    from flowxfer.video.io.copies import holdable
    from flowxfer.video.io.encoders import choose_encoder
    from flowxfer.video.io.film_sink import FilmSegmentWriter
    from flowxfer.video.io.film_source import FilmSource

    encoder = choose_encoder(path, source.look, codec, quality)
    encoder.open()  # what it refuses, it refuses before there is work to lose
    work = Work(path, job | {"encoder": encoder.identity()}, resume=resume, overwrite=overwrite)
    copied = holdable(source, path) if isinstance(source, FilmSource) else ()
    return SegmentedSink(work, FilmSegmentWriter(work, source, encoder, mark, copied), segment_frames, log_path)


def check_free(path: Path, others: Sequence[Path | None], *, overwrite: bool) -> None:
    """See that nothing is lost by writing a file.

    Raises:
        VideoError: it is one of the others, inputs and further outputs, by whatever name or link; or it is there and
            shall not be overwritten.
    """
    if path in others or same_file(path, filter(None, others)):
        raise VideoError(f"expected a name of its own for each output, got {path}, which is an input or another output")
    if path.exists() and not overwrite and not flows_on(path):
        raise VideoError(f"expected nothing at {path}, got a file; choose another name, or overwrite it")


def _check_folder(path: Path, others: Sequence[Path | None], *, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise VideoError(f"expected a folder for pictures, or nothing, at {path}, got a file; choose another name")
    held = list(path.iterdir()) if path.is_dir() else []
    if held and not overwrite:
        raise VideoError(
            f"expected nothing at {path}, got a folder that is not empty; choose another name, or overwrite it"
        )
    for place in [path, *(each for each in held if each.suffix == ".png")]:
        check_free(place, others, overwrite=True)
