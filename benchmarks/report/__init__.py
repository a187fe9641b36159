"""Results as JSON, Markdown, pictures and a page."""

from __future__ import annotations

import json
from pathlib import Path

from flowxfer.benchmarks.suite import Results
from flowxfer.errors import InputError
from flowxfer.files import replacing

from .markdown import details, summary

__all__ = ["NAMES", "publish", "write"]

NAMES = ("results.json", "summary.md", "report.md", "speed.svg", "report.html")
"""The files that :func:`write` writes."""


def write(results: Results, folder: Path) -> list[Path]:
    """Write the results as :data:`NAMES`, whatever is there.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from .page import page
    from .plots import overview, plots

    texts = {
        "results.json": json.dumps(results, indent=1) + "\n",
        "summary.md": summary(results),
        "report.md": details(results),
        "speed.svg": overview(results),
        "report.html": page(results, plots(results)),
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def publish(folder: Path, document: Path, picture: Path | None, block: str = "benchmark") -> None:
    """Put the summary between the two comments of a document's block, and the overview where the picture is.

    Raises:
        InputError: the document lacks the comments.
    """
    text, opening, closing = document.read_text(encoding="utf-8"), f"<!-- {block} -->", f"<!-- /{block} -->"
    before, begin, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise InputError(f"expected {opening} and {closing} in {document}, between which the table goes")
    table = (folder / "summary.md").read_text(encoding="utf-8")
    with replacing(document) as temporary:
        temporary.write_text(f"{before}{opening}\n{table}{closing}{after}", encoding="utf-8")
    if picture:
        with replacing(picture) as temporary:
            temporary.write_text((folder / "speed.svg").read_text(encoding="utf-8"), encoding="utf-8")
