"""The page on the architecture is what the code imports, and each room stands above what it stands on."""

from __future__ import annotations

import re

import grimp
import pytest

from tests.docs.pages import PAGES, ROOT

EVERYBODY = {"errors", "files", "types"}
EARLIER_NAMES = {"attributes", "copies", "strips"}


@pytest.fixture(scope="module")
def table():
    """Rooms and what they stand on, as the page has it, from top to bottom."""
    page = (PAGES / "explanation" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \| ?(.*) ?\|$", page, re.MULTILINE)
    return {room: {name for name in re.split(r",\s*", below.strip()) if name} for room, below in rows}


@pytest.fixture(scope="module")
def imports():
    """Rooms and the rooms that their files import, when they are loaded or later."""
    graph = grimp.build_graph("flowxfer", exclude_type_checking_imports=True, cache_dir=None)
    found = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            room, other = (name.split(".")[1] if "." in name else "" for name in (module, imported))
            if room and other and room != other:
                found.setdefault(room, set()).add(other)
    return found


def test_the_table_is_what_the_code_imports(table, imports):
    for room, below in table.items():
        found = {"everything"} if room == "cli" else imports.get(room, set()) - EVERYBODY
        assert found == below, room


def test_every_room_is_in_the_table(table, imports):
    folders = {path.parent.name for path in (ROOT / "flowxfer").glob("*/__init__.py")}
    assert set(table) == (set(imports) | folders) - EVERYBODY - EARLIER_NAMES - {"__main__", "data"}


def test_three_arrows_lead_upwards(table):
    order = list(table)
    upwards = [
        (room, name)
        for room, below in table.items()
        if room != "cli"
        for name in below
        if order.index(name) < order.index(room)
    ]
    assert sorted(upwards) == [("benchmarks", "cli"), ("models", "export"), ("models", "glow"), ("video", "cluster")]


def test_the_files_to_copy_are_there():
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = re.findall(r"`((?:flowxfer|tests)/[\w/]+\.py)`", page)
    assert len(paths) >= 7
    assert [path for path in paths if not (ROOT / path).is_file()] == []
