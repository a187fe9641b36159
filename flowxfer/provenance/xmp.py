"""XMP packets: properties of a file as RDF in XML, ISO 16684-1.

Packets come from anybody: they are bounded in size, and a packet with a document type is refused, for only that can
declare entities that grow or reach for files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.dom import minidom
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape, quoteattr

from flowxfer.provenance.marks import Mark, alpha_text, tool

__all__ = ["ALPHA", "CREATOR_TOOL", "LIMIT", "MODEL", "MODEL_HASH", "SOURCE_TYPE", "packet", "passed_on", "properties"]

LIMIT = 1 << 20
"""Bytes that a packet may have."""
_NODES = 50_000  # elements and attributes of a packet; each takes a kilobyte once it is parsed

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_FLOWXFER = "urn:uuid:8d0cbf0e-5a52-4f0f-9a37-3f1c2b7d6e15#"  # a name that no host has to answer for

SOURCE_TYPE = f"{{{_IPTC}}}DigitalSourceType"
SYSTEM = f"{{{_IPTC}}}AISystemUsed"
CREATOR_TOOL = f"{{{_XMP}}}CreatorTool"
MODEL = f"{{{_FLOWXFER}}}Model"
MODEL_HASH = f"{{{_FLOWXFER}}}ModelHash"
ALPHA = f"{{{_FLOWXFER}}}Alpha"

# What is true of one file and not of the next, or points into it: how its pixels lie, its thumbnail, what hangs behind
# the picture (a gain map, a moving picture, further XMP), where its own C2PA manifest is.
_TIFF, _EXIF, _MEDIA = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/", f"{_XMP}mm/"
_OF_ONE_FILE = {
    *(f"{{{_TIFF}}}{name}" for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression")),
    *(f"{{{_TIFF}}}{name}" for name in ("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration")),
    *(f"{{{_TIFF}}}{name}" for name in ("YCbCrSubSampling", "YCbCrPositioning")),
    *(f"{{{_EXIF}}}{name}" for name in ("PixelXDimension", "PixelYDimension")),
    f"{{{_XMP}}}Thumbnails",
    f"{{{_MEDIA}}}InstanceID",
    "{http://ns.adobe.com/xmp/note/}HasExtendedXMP",
    "{http://purl.org/dc/terms/}provenance",
}
_OF_WHAT_HANGS_BEHIND = ("{http://ns.adobe.com/hdr-gain-map/", "{http://ns.google.com/photos/1.0/")

_XMLNS = "http://www.w3.org/2000/xmlns/"
_PREFIXES = {RDF: "rdf", _XMP: "xmp", _IPTC: "Iptc4xmpExt", _FLOWXFER: "flowxfer"}
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'
_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0, however written
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{}<?xpacket end="r"?>'


def packet(mark: Mark, existing: bytes | None = None) -> bytes:
    """Write a mark as a packet; the same mark gives the same bytes.

    Args:
        mark: what to say.
        existing: a packet whose other properties are kept.

    Raises:
        ValueError: the existing packet is too large or damaged, or declares a document type.
    """
    document = _document(existing or _EMPTY.encode())
    values = _values(mark)
    about = next((node.getAttributeNS(RDF, "about") for node in _descriptions(document)), "")
    _remove(document, _is_ours)
    if CREATOR_TOOL in _properties(document):
        del values[CREATOR_TOOL]  # another's, who made the picture that we changed
    _rdf(document)[0].appendChild(document.importNode(_described(about, values), True))
    return _written(document)


def passed_on(existing: bytes) -> bytes:
    """Write the packet of a picture's new version: without what is true of the old file only.

    Raises:
        ValueError: as :func:`packet`.
    """
    document = _document(existing)
    _remove(document, lambda name, _: name in _OF_ONE_FILE or name.startswith(_OF_WHAT_HANGS_BEHIND))
    return _written(document)


def properties(packet: bytes) -> dict[str, tuple[str, ...]]:
    """Read the properties of a packet, by ``{namespace}name``; one that is no list has one value.

    Raises:
        ValueError: the packet is too large or damaged, or declares a document type.
    """
    return _properties(_document(packet))


def _document(packet: bytes) -> minidom.Document:
    if len(packet) > LIMIT:
        raise ValueError(f"its XMP has more than {LIMIT:,} bytes")
    try:
        # As text: bytes could name another encoding, in which a document type looks different.
        text = packet.decode("utf-8-sig").strip("\0 \r\n\t")
        if "<!DOCTYPE" in text:
            raise ValueError("its XMP has a document type, which XMP never needs")
        if text.count("<") + text.count("=") > _NODES:
            raise ValueError(f"its XMP has more than {_NODES:,} elements and attributes")
        document = minidom.parseString(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"its XMP is not UTF-8: {error}") from error
    except ExpatError as error:
        raise ValueError(f"its XMP is no XML: {error}") from error
    if not _rdf(document):
        raise ValueError("its XMP holds no RDF")
    return document


def _written(document: minidom.Document) -> bytes:
    assert document.documentElement is not None
    try:
        text = document.documentElement.toxml()
    except RecursionError as error:
        raise ValueError("its XMP is nested too deeply") from error
    return _PACKET.format(text).encode()


def _rdf(document: minidom.Document) -> list[minidom.Element]:
    """The element rdf:RDF, where there is one: the root, or right below it."""
    root = document.documentElement
    assert root is not None
    return [node for node in (root, *_elements(root)) if _name(node) == f"{{{RDF}}}RDF"][:1]


def _descriptions(document: minidom.Document) -> list[minidom.Element]:
    (rdf,) = _rdf(document)
    return [node for node in _elements(rdf) if _name(node) == f"{{{RDF}}}Description"]


def _properties(document: minidom.Document) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for description in _descriptions(document):
        attributes = description.attributes.values()
        found |= {_name(node): (node.value,) for node in attributes if node.namespaceURI not in (RDF, _XMLNS)}
        found |= {_name(node): _values_of(node) for node in _elements(description)}
    return found


def _values_of(element: minidom.Element) -> tuple[str, ...]:
    items = [item for list_ in _elements(element) for item in _elements(list_) if _name(item) == f"{{{RDF}}}li"]
    if items:
        return tuple(map(_text, items))
    return (element.getAttributeNS(RDF, "resource") or _text(element),)


def _text(element: minidom.Element) -> str:
    return "".join(node.data for node in element.childNodes if isinstance(node, minidom.Text)).strip()


def _elements(element: minidom.Element) -> Iterator[minidom.Element]:
    return (node for node in element.childNodes if isinstance(node, minidom.Element))


def _name(node: minidom.Element | minidom.Attr) -> str:
    return f"{{{node.namespaceURI or ''}}}{node.localName}"


def _values(mark: Mark) -> dict[str, str]:
    """The properties of a mark in XML, by name; those without a value are empty."""
    alphas = "".join(f"<rdf:li>{alpha_text(alpha)}</rdf:li>" for alpha in mark.alphas)
    return {
        CREATOR_TOOL: _escaped(tool()),
        SOURCE_TYPE: _escaped(mark.source_type),
        SYSTEM: _escaped(f"{tool()}, {mark.model}" if mark.model else ""),
        MODEL: _escaped(mark.model or ""),
        MODEL_HASH: _escaped(mark.model_hash or ""),
        ALPHA: alphas and f"<rdf:Seq>{alphas}</rdf:Seq>",
    }


def _escaped(text: str) -> str:
    return escape(_ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text))


def _is_ours(name: str, value: str) -> bool:
    """Whether a mark replaces a property: all that flowxfer wrote, and whatever was said of the source type."""
    if name == CREATOR_TOOL:
        return value.startswith("flowxfer ")
    return name in (SOURCE_TYPE, SYSTEM) or name.startswith(f"{{{_FLOWXFER}}}")


def _remove(document: minidom.Document, unwanted: Callable[[str, str], bool]) -> None:
    """Remove properties by their name and text, and descriptions in which nothing is left."""
    for description in _descriptions(document):
        for attribute in list(description.attributes.values()):
            if unwanted(_name(attribute), attribute.value):
                description.removeAttributeNode(attribute)
        for element in list(_elements(description)):
            if unwanted(_name(element), _text(element)):
                description.removeChild(element)
        attributes = [node for node in description.attributes.values() if node.namespaceURI not in (RDF, _XMLNS)]
        if not attributes and not list(_elements(description)) and description.parentNode is not None:
            description.parentNode.removeChild(description)


def _described(about: str, values: dict[str, str]) -> minidom.Element:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for uri, prefix in _PREFIXES.items())
    lines = [f"<rdf:Description {declared} rdf:about={quoteattr(about)}>"]
    for name, value in values.items():
        uri, _, local = name[1:].partition("}")
        tag = f"{_PREFIXES[uri]}:{local}"
        lines += [f"<{tag}>{value}</{tag}>"] if value else []
    description = minidom.parseString("".join([*lines, "</rdf:Description>"])).documentElement
    assert description is not None
    return description
