"""Ask every address that the documentation links to whether it is there: ``python docs/links.py [FILE …]``.

Not a test: other people's servers are none of its business. Exit status 1 and a line for each that does not answer.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path

_LINK = re.compile(r"\]\((https?://[^)\s]+)\)")


def links(pages: Iterable[Path]) -> list[str]:
    """The addresses in Markdown pages, each once."""
    return sorted({link for page in pages for link in _LINK.findall(page.read_text("utf-8"))})


def problem(link: str) -> str | None:
    """Why an address cannot be had; None where it can."""
    request = urllib.request.Request(link, headers={"User-Agent": "Mozilla/5.0"})  # some refuse Python's own
    try:
        with urllib.request.urlopen(request, timeout=30):
            return None
    except OSError as error:
        return str(error)


def main(pages: Iterable[Path]) -> int:
    """Print what cannot be had; the exit status says whether anything was printed."""
    broken = [f"{link}  {reason}" for link in links(pages) if (reason := problem(link))]
    print(*broken, sep="\n")
    return min(len(broken), 1)


if __name__ == "__main__":
    docs = Path(__file__).parent
    sys.exit(main([Path(name) for name in sys.argv[1:]] or [docs.parent / "README.md", *sorted(docs.rglob("*.md"))]))
