"""Results as one HTML page that needs nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from flowxfer.benchmarks.suite import Results

from .markdown import details

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #d9e2ec; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { display: inline-block; margin: .5rem; } svg { max-width: 100%; height: auto; }
"""

__all__ = ["page"]


def page(results: Results, plots: Iterable[tuple[str, str]]) -> str:
    """The pictures, then every table."""
    figures = "\n".join(
        f"<figure><figcaption>{escape(title)}</figcaption>{_unique(svg, index)}</figure>"
        for index, (title, svg) in enumerate(plots)
    )
    title, _, body = _html(details(results)).partition("\n")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>flowxfer: how fast</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{title}\n{figures}\n{body}\n</body></html>\n"
    )


def _unique(svg: str, index: int) -> str:
    """Identifiers that no other picture of the page has."""
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>p{index}-", svg)


def _html(markdown: str) -> str:
    """The Markdown that ``report.markdown`` writes: headings, lists, tables, paragraphs."""
    return "\n".join(_block(block) for block in markdown.split("\n\n") if block.strip())


def _block(block: str) -> str:
    lines = block.strip().splitlines()
    if heading := re.fullmatch(r"(#+) (.*)", lines[0]):
        level = len(heading[1])
        rest = "\n".join(lines[1:])
        return f"<h{level}>{_inline(heading[2])}</h{level}>" + (f"\n{_block(rest)}" if rest else "")
    if lines[0].startswith("|"):
        head, _, *body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        rows = [_row(head, "th"), *(_row(cells, "td") for cells in body)]
        return "<table>\n" + "\n".join(rows) + "\n</table>"
    if lines[0].startswith("- "):
        return "<ul>\n" + "\n".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "\n</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells) + "</tr>"


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text, quote=False))
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", re.sub(r"`(.+?)`", r"<code>\1</code>", text))
