"""What may be opened as a film, and what that may cost.

A container is known by FFmpeg's demuxer, never by its suffix. Those that follow names, such as playlists, are not among
ours, for a film that came from somewhere must not bring in other files. A small file can still make a demuxer ask for
all memory, or read for ever, and neither can be stopped from within the process. So another process opens each film
first, which may take so much memory and time and no more.
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from flowxfer.errors import VideoError

__all__ = ["DEMUXERS", "LARGEST", "OPTIONS", "bounded", "check_opening", "check_size", "patiently"]

Result = TypeVar("Result")

log = logging.getLogger(__name__)

DEMUXERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "gif", "mxf", "nut"),
    *("ivf", "obu", "h264", "hevc", "m4v", "dv", "wtv", "rm", "yuv4mpegpipe"),
)
"""Of FFmpeg, by their names: containers that hold a film themselves."""

LARGEST = 8192 * 4608
"""Pixels of a picture: 8K, with some room."""

OPTIONS = {
    "format_whitelist": ",".join(DEMUXERS),
    "protocol_whitelist": "file",
    "enable_drefs": "0",  # in MOV a track may lie in another file
    "max_streams": "100",
}
"""Of FFmpeg, for every film that is read."""

SECONDS = 15  # that opening may take
MEMORY = 1 << 30  # bytes that opening may take
_SCRIPT = Path(__file__).with_name("_trial.py")
_TIMES = 4  # the bytes of a film that its packets may have in all: an edit list may show a part again
_SLACK = 1 << 14  # bytes beyond that, for what containers leave out of packets


def check_opening(path: Path) -> None:
    """Refuse a film whose opening takes too much memory or time.

    What is no film passes: whoever opens it learns why. Where no process can be started, everything passes; on Windows
    only the time is bounded.

    Raises:
        VideoError: it does.
        OSError: there is no such file.
    """
    state = path.stat()
    _check(os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _check(path: str, *_: int) -> None:
    if not _trials.passes(path):
        raise VideoError(
            f"expected a film in {path}, got something that takes more than {MEMORY >> 20} MiB or {SECONDS} seconds to"
            " open; it is damaged, or made to do harm"
        )


def check_size(stream: VideoStream, path: Path) -> None:
    """Refuse pictures that are larger than :data:`LARGEST`, those that come later too.

    Args:
        stream: of which nothing is decoded yet.
        path: of the film, for the message.

    Raises:
        VideoError: the stream says that they are, or nobody knows its codec.
    """
    context = stream.codec_context
    if context is None:
        raise VideoError(
            f"expected pictures that can be decoded in {path}, got those of a codec that nobody here knows"
        )
    if context.width * context.height > LARGEST:
        raise VideoError(
            f"expected pictures of at most {LARGEST} pixels in {path}, got {context.width}x{context.height};"
            " make it smaller first"
        )
    context.options = {**context.options, "max_pixels": str(LARGEST)}


def bounded(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of streams, which are read from what the film has now.

    Raises:
        VideoError: the film grows, or its packets have many times the bytes that it has: then they overlap, and there
            may be any number of them.
        av.FFmpegError: the film is damaged.
    """
    path = Path(container.name)
    size = path.stat().st_size
    left = _TIMES * size + _SLACK
    for packet in container.demux(*streams):
        left -= max(1, packet.size)
        if left < 0:
            raise VideoError(f"expected a film in {path}, got more packets than fit into its {size} bytes")
        if packet.pos is not None and packet.pos >= size:
            raise VideoError(f"expected {path} to be finished, but it grows; take it when nobody writes to it")
        yield packet


def patiently(work: Callable[[], Result]) -> Result:
    """Do something in another thread, for Ctrl-C ends no call into a library, but the wait for one."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="flowxfer-opening", daemon=True).start()
    return done.result()


class _Trials:
    """A process that opens films, one after the other; started when it is first needed, and again when it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self.end)

    def passes(self, path: str) -> bool:
        """Whether a film can be opened within the bounds, or is none."""
        with self._lock:
            if self._owner != os.getpid() or self._process is None or self._process.poll() is not None:
                self._start()
            if self._process is None:
                return True
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                _say(self._process.stdin, path)
                answer = self._process.stdout.readline()
            except BrokenPipeError:
                answer = b""
            except BaseException:  # Ctrl-C: its answer would be taken for that to the next question
                self._kill()
                raise
            if not answer:
                self._kill()
            return answer == b"opened\n"

    def _start(self) -> None:
        self._process, self._owner = None, os.getpid()  # of a process that was forked, the parent's is not ours
        if "python" not in Path(sys.executable or "").name.lower():
            log.warning("films are opened without bounds, for there is no Python to try it in")
            return
        settings = {"path": sys.path, "options": OPTIONS, "seconds": SECONDS, "memory": MEMORY}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=None if sys.platform == "win32" else 0,  # Ctrl-C in a terminal is for us alone
            )
            assert self._process.stdin is not None
            _say(self._process.stdin, settings)
        except OSError as error:
            log.warning("films are opened without bounds, for no process can be started to try it: %s", error)

    def _kill(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None

    def end(self) -> None:
        """End the process."""
        with suppress(OSError, ValueError):
            self._kill()


def _say(pipe: IO[bytes], what: object) -> None:
    pipe.write(json.dumps(what).encode() + b"\n")
    pipe.flush()


_trials = _Trials()
