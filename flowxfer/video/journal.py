"""What an earlier run wrote into its work folder, read as if a stranger had written it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeGuard

from flowxfer.errors import VideoError, reason

__all__ = ["read_entry", "read_values"]

_LARGEST = 1 << 26  # bytes; a segment of 250 frames with the smoothed latents of 256 px faces has a twentieth of it
_TICKS = 1 << 60  # FFmpeg counts times in 64 bits


def read_values(path: Path) -> dict[str, Any]:
    """Read the values of a JSON file.

    Raises:
        VideoError: it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, reason(error)) from error
    return values


def read_entry(path: Path, fields: Collection[str]) -> dict[str, Any]:
    """Read the journal entry of a segment, whose packets, if it has any, lie beside it.

    Args:
        path: of the entry.
        fields: which of ``records`` and ``packets`` it has to have, beside ``frames`` and ``state``.

    Raises:
        VideoError: it cannot be read, or does not describe a segment, or not these packets.
    """
    entry = read_values(path)
    frames, state, records, packets = (entry.get(name) for name in ("frames", "state", "records", "packets"))
    if not _is_count(frames) or not isinstance(state, dict):
        raise _damaged(path, "it does not say how many frames there are, or how the run goes on after them")
    if "records" in fields and not (_is_list_of(records, dict) and len(records) == frames):
        raise _damaged(path, "it has not one record for each frame")
    if "packets" in fields and not (_are_packets(packets, path) and _is_count(entry.get("duration"))):
        raise _damaged(path, f"its packets are not those of {path.stem}.packets")
    return entry


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
        f"the unfinished run in {path.parent} is damaged, {path.name}: {why}; overwrite it without resuming"
    )
