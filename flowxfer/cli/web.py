"""The command that opens the web app."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Annotated

import typer

from flowxfer.cli.attributes import AttributeFile, attributes_of
from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import PORTRAIT, Compute
from flowxfer.cli.running import transferer

__all__ = ["app"]


@grouped
def app(
    host: Annotated[str, typer.Option(help="The address to listen at; by default this machine alone is heard.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 7860,
    max_upload: Annotated[float, typer.Option(min=0.001, help="MiB of an uploaded file.")] = 64,
    attributes: AttributeFile = None,
    compute: Compute = PORTRAIT,
    marked: Marking = MARKED,
) -> None:
    """Open the web app: transfers, sweeps, mixes, attributes, samples and films in the browser."""
    from flowxfer.app import serving

    marking = marks(marked)
    flow = transferer(compute)
    with serving(
        flow,
        host=host,
        port=port,
        max_upload_bytes=round(max_upload * 2**20),
        marks=marking,
        attributes=attributes_of(flow, attributes),
    ) as address:
        typer.echo(f"{flow.manifest.name} at {address}; Ctrl-C ends it")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # both ends leave no file behind
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
