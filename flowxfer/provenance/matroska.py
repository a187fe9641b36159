"""Marks in Matroska and WebM: tags, which the muxer writes.

Matroska has no place of its own for XMP; the packet is a tag like the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowxfer.provenance.marks import Mark, describe
from flowxfer.provenance.parts import Buffer, Found, Part, bounded
from flowxfer.provenance.xmp import LIMIT, packet

__all__ = ["find", "tags"]

_SEGMENT, _TAGS, _TAG = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", b"\x73\x73"
_SIMPLE_TAG, _NAME, _STRING = b"\x67\xc8", b"\x45\xa3", b"\x44\x87"
_SOURCE_TYPE, _PACKET = "DIGITAL_SOURCE_TYPE", "XMP"


def tags(mark: Mark, existing: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to give to the muxer of a film as the metadata of the container.

    Args:
        mark: what to say; to Matroska and WebM in full, to MP4 as a comment beside the XMP.
        existing: metadata of the film that was changed, which stay; so does a comment, and then there is none of ours.
    """
    kept = {name: value for name, value in (existing or {}).items() if name.upper() not in (_SOURCE_TYPE, _PACKET)}
    comment = {} if "COMMENT" in map(str.upper, kept) else {"comment": describe(mark)}
    return {**kept, **comment, _SOURCE_TYPE: mark.source_type, _PACKET: packet(mark).decode()}


def find(data: Buffer) -> Found:
    """Find the packet; C2PA knows nothing of Matroska.

    Raises:
        ValueError: the file is damaged.
    """
    elements = [Part(b"", 0, len(data))]
    for kind in (_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG):
        children = (child for element in elements for child in _elements(data, element))
        elements = [child for child in bounded(children) if child.kind == kind]
    for tag in elements:
        if tag.end - tag.begin <= LIMIT:
            fields = {field.kind: data[field.begin : field.end] for field in _elements(data, tag)}
            if fields.get(_NAME) == _PACKET.encode():
                return Found(fields.get(_STRING))
    return Found()


def _elements(data: Buffer, parent: Part) -> Iterator[Part]:
    """The bodies of the elements within another's."""
    position = parent.begin
    while position < parent.end:
        id_end = position + _length(data, position, most=4)
        begin = id_end + _length(data, id_end, most=8)
        size = int.from_bytes(data[id_end:begin]) & (1 << 7 * (begin - id_end)) - 1
        if size == (1 << 7 * (begin - id_end)) - 1:
            size = parent.end - begin  # nobody knew it when the film began, as with a broadcast
        if begin + size > parent.end:
            raise ValueError(f"its element at byte {position} is cut short")
        yield Part(data[position:id_end], begin, begin + size)
        position = begin + size


def _length(data: Buffer, position: int, *, most: int) -> int:
    """Bytes of a number whose first byte tells how many it has."""
    length = 9 - data[position].bit_length() if position < len(data) else 9
    if length > most or position + length > len(data):
        raise ValueError(f"it has no element at byte {position}")
    return length
