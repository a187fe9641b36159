"""A film whose segments come in any order: its journal, and the joined film when all are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowxfer.cluster.recipe import Recipe
from flowxfer.cluster.tasks import Coded, Film
from flowxfer.provenance import check_suffix
from flowxfer.video import open_source
from flowxfer.video.io.source import require_av
from flowxfer.video.io.work_folder import Work

__all__ = ["VideoJob"]


class VideoJob:
    """Holds a film's work folder, ``.NAME.partial`` beside the output, from the first segment to the last.

    Only the process that started the batch has one; workers put their packets into its folder.

    Args:
        source: the film.
        output: where the result goes.
        recipe: of the batch.
        segment_frames: frames of a segment, at least 1; a key frame begins each.
        force: begin anew, where there is an unfinished run.

    Raises:
        VideoError: the film cannot be read or written, another run is writing it, or an unfinished one differs.
        ProvenanceError: the film is to be signed, and its container cannot hold a signature.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, source: Path, output: Path, recipe: Recipe, *, segment_frames: int, force: bool) -> None:
        require_av(f"the film {source}")
        check_suffix(output, recipe.mark)
        from flowxfer.video.io.copies import holdable
        from flowxfer.video.io.encoders import choose_encoder
        from flowxfer.video.io.film_sink import FilmSegmentWriter
        from flowxfer.video.io.film_source import FilmSource

        film = open_source(source)
        encoder = choose_encoder(output, film.look, recipe.codec, recipe.quality)
        encoder.open()  # what it refuses, it refuses before there is work to lose
        job: dict[str, Any] = {
            "source": film.fingerprint,
            "batch": recipe.settings(),
            "segment_frames": segment_frames,
            "encoder": encoder.identity(),
        }
        self._work = Work(output, job, resume=not force, overwrite=force)
        copied = holdable(film, output) if isinstance(film, FilmSource) else ()
        self._writer = FilmSegmentWriter(self._work, film, encoder, recipe.mark, copied)
        self._waiting: dict[int, dict[str, Any]] = {}
        self._segments: int | None = None
        entries = list(self._work.entries())
        self.film = Film(
            source,
            output,
            self._work.folder,
            segment=len(entries),
            first=sum(entry["frames"] for entry in entries),
            state=entries[-1]["state"].get("tracker") if entries else None,
            segment_frames=segment_frames,
            frames=film.count,
        )

    @property
    def whole(self) -> bool:
        """Whether all segments are safe."""
        return self._work.segments == self._segments

    def take(self, coded: Coded) -> None:
        """Make a segment safe, as soon as all before it are."""
        self._waiting[coded.number] = coded.entry
        while (entry := self._waiting.pop(self._work.segments, None)) is not None:
            self._work.commit(entry)

    def end(self, segments: int) -> None:
        """Take note of how many segments there are."""
        self._segments = segments

    def join(self) -> None:
        """Put the film into its place."""
        self._writer.finish()
        self._work.remove()

    def leave(self) -> None:
        """Let go of a film that is not whole; what is safe is kept for the next run."""
        if self._work.segments:
            self._work.release()
        else:
            self._work.remove()
