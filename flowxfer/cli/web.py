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
from flowxfer.cli.options import PORTRAIT, AllowHost, Compute
from flowxfer.cli.running import transferer

__all__ = ["app"]


@grouped
def app(
    host: Annotated[str, typer.Option(help="The address to listen at; by default this machine alone is heard.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 7860,
    max_upload: Annotated[float, typer.Option(min=0.001, help="MiB of an uploaded file.")] = 64,
    max_files: Annotated[float, typer.Option(min=1, help="MiB of all files that it keeps at a time.")] = 4096,
    allow_host: AllowHost = None,
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
        max_files_bytes=round(max_files * 2**20),
        hosts=allow_host or [],
        marks=marking,
        attributes=attributes_of(flow, attributes),
    ) as address:
        typer.echo(f"{flow.manifest.name} at {address}; Ctrl-C ends it")
        for end in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:  # a closed terminal too
            if signal.getsignal(end) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(end, signal.default_int_handler)  # every end leaves no file behind
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
