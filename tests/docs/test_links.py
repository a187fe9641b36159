"""The command that asks addresses whether they are there."""

from __future__ import annotations

import http.server
import importlib.util
import threading
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT


@pytest.fixture(scope="module")
def links():
    spec = importlib.util.spec_from_file_location("links", PAGES / "links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(tmp_path):
    """The address of a server that has the file `there` and nothing else."""
    (tmp_path / "there").touch()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=tmp_path)

        def log_message(self, *given):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_an_address_that_is_not_there_is_named(links, server, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"[a]({server}/there) [b](other.md)")
    assert links.main([page]) == 0
    page.write_text(f"[a]({server}/there) [c]({server}/gone)")
    assert links.main([page]) == 1
    assert "/gone  HTTP Error 404" in capsys.readouterr().out


def test_the_pages_have_addresses(links):
    assert "https://arxiv.org/abs/1807.03039" in links.links(PAGES.rglob("*.md"))


HOSTS = {
    "arxiv.org",
    "c2pa.org",
    "cv.iptc.org",
    "doi.org",
    "docs.ray.io",
    "eur-lex.europa.eu",
    "github.com",
    "schemathesis.readthedocs.io",
}  # a new one is looked at once, by whoever adds it: a slip in a name leads to a stranger


def test_addresses_lead_where_they_should(links):
    """Whether they are there is asked by `python docs/links.py`, which needs the network."""
    addresses = links.links([ROOT / "README.md", *PAGES.rglob("*.md")])
    assert len(addresses) > 10
    assert [address for address in addresses if urlsplit(address).scheme != "https"] == []
    assert {urlsplit(address).netloc for address in addresses} == HOSTS
