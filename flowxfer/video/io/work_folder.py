"""The work folder of an unfinished run: what is done and safe, and whose it is."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flowxfer.errors import VideoError
from flowxfer.files import hidden_beside, replacing, sync
from flowxfer.video.io.journal import check_files, read_entry, read_job, write_entry

__all__ = ["Work"]

_JOB = "job.json"
_VERSION = {"version of work folders": 2}  # with checksums

log = logging.getLogger(__name__)


class Work:
    """A folder beside the output, ``.NAME.partial``, in which segment after segment becomes safe.

    A segment counts from the moment its journal entry has its name, which is the last thing that is written of it. So
    a run that is killed leaves whole segments, and perhaps the beginning of one that does not count. A segment that a
    disk or a power cut damaged is noticed by its checksums, and made again with all after it. One run at a time holds
    the folder.

    Args:
        output: what is being made.
        job: what the bytes depend on, JSON values: only a run of the same job goes on here.
        resume: go on with what is there.
        overwrite: throw away what is there.

    Raises:
        VideoError: another run holds the folder; or an unfinished run is there, and neither is asked for, or its job
            is another or damaged; or the folder cannot be written to.
    """

    def __init__(self, output: Path, job: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.output, self.folder = output, hidden_beside(output, "partial")
        job = json.loads(json.dumps(job | _VERSION))  # tuples become lists, as in the file
        # Frames that are edited with settings have a record each, and what an encoder made has packets.
        self._fields = [field for field, given in (("records", "settings"), ("packets", "encoder")) if given in job]
        if self.folder.is_symlink():
            raise VideoError(f"expected a folder for unfinished work at {self.folder}, got a link; remove it")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(hidden_beside(output, "lock"), timeout=0)
            self._lock.acquire()
        except Timeout:
            raise VideoError(f"another run is writing {output}; wait for it, or choose another name") from None
        except OSError as error:
            raise VideoError(
                f"expected to write beside {output}, got {error.strerror}; choose a folder that can be written to"
            ) from error
        try:
            self.segments = self._taken_over(job, resume, overwrite)
        except BaseException:
            self.release()
            raise

    def _taken_over(self, job: dict[str, Any], resume: bool, overwrite: bool) -> int:
        """Take the folder, and count the segments that are safe in it."""
        segments = self._count()
        if segments:
            if resume:
                self._check(job)
                return self._sound(segments)
            if not overwrite:
                raise VideoError(
                    f"an unfinished run of {self.output} is in {self.folder}; resume goes on with it, overwrite "
                    "begins anew"
                )
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        with replacing(self.folder / _JOB) as temporary:
            temporary.write_text(json.dumps(job))
            sync(temporary)
        return 0

    def _check(self, job: dict[str, Any]) -> None:
        there = read_job(self.folder / _JOB)
        other = sorted(name for name in job if job[name] != there.get(name))
        other += ["what this one does not have"] if there.keys() - job.keys() else []
        if other:
            raise VideoError(
                f"the unfinished run in {self.folder} differs in {', '.join(other)}; go on with what it began with, "
                "or overwrite it without resuming"
            )

    def _sound(self, segments: int) -> int:
        """Count the segments before the first that is damaged, and forget the others: they are made again."""
        if links := [path for path in self.folder.rglob("*") if path.is_symlink()]:
            raise VideoError(
                f"expected no links in the unfinished run, got {links[0]}, through which it would write elsewhere; "
                "overwrite it without resuming"
            )
        for number in range(segments):
            try:
                self.checked(number)
            except VideoError as error:
                log.warning("%s", error)
                for later in reversed(range(number, segments)):  # so that what is left has no gap
                    self._entry(later).unlink()
                return number
        return segments

    def _count(self) -> int:
        if not (self.folder / _JOB).exists():
            return 0
        segments = 0
        while self._entry(segments).exists():
            segments += 1
        return segments

    def commit(self, entry: dict[str, Any]) -> None:
        """Make the next segment safe: its files are written, and this says what they hold, in JSON values."""
        write_entry(self._entry(self.segments), entry)
        self.segments += 1

    def entries(self) -> Iterator[dict[str, Any]]:
        """Read the journal entries of all segments, in order."""
        for number in range(self.segments):
            yield self.entry(number)

    def entry(self, number: int) -> dict[str, Any]:
        """Read one journal entry."""
        return read_entry(self._entry(number), self._fields)

    def checked(self, number: int) -> dict[str, Any]:
        """Read one journal entry, and its segment's files once: they are what was written."""
        entry = self.entry(number)
        check_files(self._entry(number), entry)
        return entry

    def remove(self) -> None:
        """Take the folder away: the output is in its place, or there is nothing worth keeping."""
        (self.folder / _JOB).unlink(missing_ok=True)  # first, so that half of a folder is nobody's run
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let the next run have the folder."""
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def _entry(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"
