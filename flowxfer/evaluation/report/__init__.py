"""One HTML page about a run of the paper's experiment, with everything in it: pictures, plots, tables, style.

- ``reading``: what a run left in its folder.
- ``tradeoff``: identity against expression, and the strength to recommend.
- ``figures``: plots as SVG that take their colours from the page.
- ``page``: all of it in ``page.html`` and ``style.css``.
"""

from flowxfer.evaluation.report.page import write_report

__all__ = ["write_report"]
