"""Whatever an extra installs is free to use, and listed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.hardening.licences import ABSENT, closure, direct

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"
ROW = re.compile(r"\| (?P<package>\S+) \| (?P<licence>[^|]+) \| (?P<how>[^|]+) \|")
FREE = (
    "MIT", "BSD", "Apache", "ISC", "MPL", "Mozilla Public License", "PSF", "Python Software Foundation", "Zlib", "BSL",
    "CC0", "Unlicense",
)  # fmt: skip
NOT_FREE = re.compile(r"\bA?GPL|non-?commercial|\bNC\b|proprietary|not stated", re.IGNORECASE)


def rows():
    return [match.groupdict() for line in PAGE.read_text().splitlines() if (match := ROW.fullmatch(line))]


def test_every_package_of_every_extra_is_listed():
    assert {row["package"] for row in rows() if row["how"].startswith("named")} == set(direct())


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the list was made on CPython 3.11, others need others")
def test_all_that_these_need_is_listed():
    assert set(closure()) - {row["package"] for row in rows()} == set()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["package"])
def test_every_licence_is_free(row):
    licence = row["licence"].strip()
    assert licence == ABSENT or licence.startswith(FREE) or "BSD" in licence
    assert not NOT_FREE.search(licence)


def test_what_is_not_free_would_be_noticed():
    for licence in ("AGPL-3.0", "GPL-2.0-only", "CC BY-NC 4.0", "Proprietary", "not stated"):
        assert NOT_FREE.search(licence)
