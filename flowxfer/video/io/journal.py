"""What a run writes into its work folder, read as if a stranger had written it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeGuard

from flowxfer.bundle import sha256
from flowxfer.errors import VideoError, reason
from flowxfer.files import replacing, sync

__all__ = ["check_files", "read_entry", "read_job", "write_entry"]

_LARGEST = 1 << 26  # bytes; a segment of 250 frames with the smoothed latents of 256 px faces has a twentieth of it
_TICKS = 1 << 60  # FFmpeg counts times in 64 bits
_CHECKSUM = "sha256"  # of the entry's other values


def read_job(path: Path) -> dict[str, Any]:
    """Read what a run was begun with.

    Raises:
        VideoError: it cannot be read, or holds something else than a JSON object.
    """
    try:
        return _values(path)
    except (OSError, ValueError, RecursionError) as error:
        raise VideoError(
            f"the unfinished run in {path.parent} is damaged, {path.name}: {reason(error)}; overwrite it without "
            "resuming"
        ) from error


def write_entry(path: Path, entry: dict[str, Any]) -> None:
    """Write the journal entry of a segment, with a checksum; when this returns, it is on the disk."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(entry | {_CHECKSUM: _checksum(entry)}))
        sync(temporary)


def read_entry(path: Path, fields: Collection[str]) -> dict[str, Any]:
    """Read the journal entry of a segment, whose packets, if it has any, lie beside it.

    Args:
        path: of the entry.
        fields: which of ``records`` and ``packets`` it has to have, beside ``frames``, ``state`` and ``files``.

    Raises:
        VideoError: it cannot be read, is not what was written, or does not describe a segment, or not these packets.
    """
    try:
        entry = _values(path)
        if entry.pop(_CHECKSUM, None) != _checksum(entry):
            raise ValueError("it is not what was written")
        _check(entry, path, fields)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, reason(error)) from error
    return entry


def check_files(path: Path, entry: dict[str, Any]) -> None:
    """Compare a segment's files with the SHA-256 in its entry.

    Raises:
        VideoError: one is gone, or is not what was written.
    """
    folder = path.parent.resolve()
    try:
        files = {(folder / name).resolve(): digest for name, digest in entry["files"].items()}
        if not all(file.is_relative_to(folder) and file.is_file() and sha256(file) == files[file] for file in files):
            raise ValueError("its files are not what was written")
    except (OSError, ValueError) as error:
        raise _damaged(path, reason(error)) from error


def _values(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST:,} bytes")
    values = json.loads(path.read_text("utf-8"))
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def _checksum(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry).encode()).hexdigest()


def _check(entry: dict[str, Any], path: Path, fields: Collection[str]) -> None:
    frames, state, files = (entry.get(name) for name in ("frames", "state", "files"))
    if not _is_count(frames) or not isinstance(state, dict):
        raise ValueError("it does not say how many frames there are, or how the run goes on after them")
    if not isinstance(files, dict):
        raise ValueError("it does not say what its files are")
    records, packets = entry.get("records"), entry.get("packets")
    if "records" in fields and not (_is_list_of(records, dict) and len(records) == frames):
        raise ValueError("it does not have one record for each frame")
    if "packets" in fields and not (_are_packets(packets, path) and _is_count(entry.get("duration"))):
        raise ValueError(f"its packets are not those of {path.stem}.packets")


def _are_packets(packets: Any, path: Path) -> bool:
    """Whether these are (size, tick, whether it is a key frame) of packets that fill the file beside the entry."""
    if not packets or not _is_list_of(packets, list) or not all(map(_is_packet, packets)):
        return False
    file = path.with_suffix(".packets")
    return file.is_file() and file.stat().st_size == sum(size for size, _, _ in packets)


def _is_packet(values: list[Any]) -> bool:
    return [type(value) for value in values] == [int, int, bool] and values[0] > 0 and abs(values[1]) < _TICKS


def _is_list_of(values: Any, kind: type) -> TypeGuard[list[Any]]:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < _TICKS


def _damaged(path: Path, why: str) -> VideoError:
    return VideoError(
        f"the unfinished run in {path.parent} is damaged, {path.name}: {why}; resuming makes this segment and all "
        "after it again"
    )
