"""The site builds without a warning, its links lead somewhere, and it needs nothing from the network."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from flowxfer import errors, export, faces, provenance, synth, video
from tests.docs.pages import PAGES, ROOT

pytest.importorskip("zensical")
pytest.importorskip("mkdocstrings_handlers.python")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy that may be built without writing into the checkout."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(PAGES, folder / "docs")
    (folder / "flowxfer").symlink_to(ROOT / "flowxfer")
    return folder


@pytest.fixture(scope="module")
def site(project):
    done = build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "site"


def build(project):
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


class Page(HTMLParser):
    """What a page links to, what it loads, and where one can link to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and "canonical" not in given.get("rel", ""):
            self.loads.append(given["href"])
        if given.get("src"):
            self.loads.append(given["src"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_in_the_navigation_once():
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    listed = list(leaves(navigation))
    assert sorted(listed) == sorted(path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md"))


def leaves(entries):
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else leaves(value)


def test_links_lead_to_files_and_anchors(site, pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and target.is_relative_to(site.resolve())
            if there and parts.fragment and target.suffix == ".html":
                there = unquote(parts.fragment) in pages[target].anchors
            if not there:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_nothing_comes_from_the_network(site, pages):
    foreign = [load for page in pages.values() for load in page.loads if urlsplit(load).netloc]
    assert not foreign
    assert not [sheet for sheet in site.rglob("*.css") if "url(http" in sheet.read_text("utf-8")]


def test_the_reference_has_the_public_names_and_no_roles_of_sphinx(pages, site):
    anchors = set().union(*(page.anchors for page in pages.values())) - {None}
    assert {"flowxfer.Transferer", "flowxfer.Transferer.transfer", "flowxfer.Latents.save"} <= anchors
    last = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith("flowxfer.")}
    for module in (faces, video, provenance, synth, export, errors):
        public = {
            name
            for name in module.__all__
            if inspect.isroutine(value := getattr(module, name)) or inspect.isclass(value)
        }
        assert public
        assert public - last == set(), module.__name__
    for path in (site / "api").glob("*.html"):
        assert ":meth:" not in path.read_text("utf-8")


@pytest.mark.parametrize("link", ["nowhere.md", "tutorial.md#nowhere"])
def test_a_broken_link_breaks_the_build(project, site, link):
    page = project / "docs" / "index.md"
    text = page.read_text("utf-8")
    try:
        page.write_text(f"{text}\n[broken]({link})\n", "utf-8")
        assert build(project).returncode != 0
    finally:
        page.write_text(text, "utf-8")
