"""XMP packets: what is written, what is kept of others' packets, and what is refused."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from flowxfer.provenance import EDITED, GENERATED, Mark
from flowxfer.provenance.xmp import ALPHA, CREATOR_TOOL, LIMIT, MODEL, SOURCE_TYPE, packet, passed_on, properties
from tests.provenance.samples import MARK, SAID, said

DC = "{http://purl.org/dc/elements/1.1/}"
FOREIGN = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Somebody's 1.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:e="urn:else#"
    xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="Camera 7" e:Note="a &lt; b"
    ext:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/>
  <rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/">
   <dc:creator><rdf:Seq><rdf:li>A</rdf:li><rdf:li>B</rdf:li></rdf:Seq></dc:creator>
   <dc:source rdf:resource="urn:there"/>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def test_what_is_written_is_read_by_us_and_by_others():
    assert said(packet(MARK)) == SAID
    read = properties(packet(MARK))
    assert read[SOURCE_TYPE] == (EDITED,)
    assert read[MODEL] == ("tiny & <co>",)
    assert read[ALPHA] == ("0.4", "0.3,0.4,0.5")


def test_what_is_not_known_is_not_said():
    assert said(packet(Mark(GENERATED))) == {"CreatorTool": "flowxfer 0.1.0", "DigitalSourceType": GENERATED}


def test_the_same_mark_gives_the_same_bytes():
    assert packet(MARK) == packet(MARK) == packet(MARK, packet(MARK))
    assert packet(MARK, packet(Mark(GENERATED, model="other", alphas=(1,)))) == packet(MARK)


def test_other_properties_are_kept():
    merged = packet(MARK, FOREIGN)
    before, after = properties(FOREIGN), properties(merged)
    assert before[SOURCE_TYPE] == ("http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",)
    assert after == {**properties(packet(MARK)), **before, SOURCE_TYPE: (EDITED,)}
    assert after[CREATOR_TOOL] == ("Camera 7",)  # by XMP's specification the first tool, not the last
    assert after[f"{DC}creator"] == ("A", "B")
    assert after[f"{DC}source"] == ("urn:there",)
    assert len(re.findall("DigitalSourceType", merged.decode())) == 2  # both ends of one element
    abouts = re.findall(r'rdf:about="([^"]*)"', merged.decode())
    assert abouts == ["uuid:1"] * 3  # all of one resource
    assert packet(MARK, merged) == merged


def test_letters_that_xml_lacks_are_replaced():
    written = packet(Mark(model="a\x00b\x1b\ud800c\N{GRINNING FACE}"))
    assert said(written)["Model"] == "a\ufffdb\ufffd\ufffdc\N{GRINNING FACE}"


OF_ONE_FILE = b"""<rdf:Description rdf:about="uuid:1" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmpMM:InstanceID="xmp.iid:1" xmpMM:DocumentID="xmp.did:1"
    xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"
    xmlns:Camera="http://ns.google.com/photos/1.0/camera/" Camera:MotionPhoto="1"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:PixelXDimension="40"
    xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="0123"
    xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="https://example.org/manifest.c2pa"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/">
    <xmp:Thumbnails><rdf:Alt><rdf:li>the old face</rdf:li></rdf:Alt></xmp:Thumbnails>
  </rdf:Description>"""


def test_what_is_true_of_the_old_file_only_is_not_passed_on():
    begin = FOREIGN.index(b"  <rdf:Description")
    kept = passed_on(FOREIGN[:begin] + OF_ONE_FILE + FOREIGN[begin:])
    document = {"{http://ns.adobe.com/xap/1.0/mm/}DocumentID": ("xmp.did:1",)}
    assert properties(kept) == properties(FOREIGN) | document
    assert b"the old face" not in kept
    assert passed_on(kept) == kept
    assert properties(passed_on(FOREIGN)) == properties(FOREIGN)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
DEEP = b"<a>" * 4000 + b"</a>" * 4000


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (BOMB.encode() + FOREIGN, "has a document type, which XMP never needs"),
        (FOREIGN[:-60], "is no XML: mismatched tag|is no XML: no element found|is no XML: unclosed token"),
        (b"\xff\xfe" + FOREIGN, "is not UTF-8"),
        (BOMB.encode("utf-16-le"), "is no XML"),
        (b'<?xml version="1.0" encoding="utf-7"?>' + BOMB.replace("<", "+ADw-").encode(), "is no XML"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", "holds no RDF"),
        (b" " * (LIMIT + 1), "has more than 1,048,576 bytes"),
        (b"<a>" * 50_001, "has more than 50,000 elements and attributes"),
    ],
)
def test_packets_that_are_refused(damaged, reason):
    for use in (properties, passed_on, lambda existing: packet(MARK, existing)):
        with pytest.raises(ValueError, match=f"its XMP ({reason})"):
            use(damaged)


def test_depth_is_refused_where_it_cannot_be_written():
    nested = FOREIGN.replace(b'<dc:source rdf:resource="urn:there"/>', DEEP)
    assert properties(nested)["{}a"] == ("",)
    with pytest.raises(ValueError, match="its XMP is nested too deeply"):
        packet(MARK, nested)


def test_the_packet_is_well_formed_on_its_own():
    assert ElementTree.fromstring(packet(MARK).decode()).tag == "{adobe:ns:meta/}xmpmeta"
    assert packet(MARK).startswith('<?xpacket begin="\ufeff" id='.encode())
