"""What pictures and films say of how they were made: marks in XMP, and C2PA manifests that a certificate signs."""

from flowxfer.provenance.certificates import make_test_certificate
from flowxfer.provenance.marking import Provenance, check_suffix, inherited, mark, marked, marking, read, stamp
from flowxfer.provenance.marks import EDITED, GENERATED, SYNTHETIC, Mark, Marks
from flowxfer.provenance.matroska import tags
from flowxfer.provenance.signer import Signer
from flowxfer.provenance.signing import Manifest

__all__ = [
    "EDITED",
    "GENERATED",
    "SYNTHETIC",
    "Manifest",
    "Mark",
    "Marks",
    "Provenance",
    "Signer",
    "check_suffix",
    "inherited",
    "make_test_certificate",
    "mark",
    "marked",
    "marking",
    "read",
    "stamp",
    "tags",
]
