"""The command that serves a model over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from flowxfer.cli.attributes import AttributeFile, attributes_of
from flowxfer.cli.groups import grouped
from flowxfer.cli.marking import MARKED, Marking, marks
from flowxfer.cli.options import BUNDLED, AllowHost, Compute
from flowxfer.cli.running import transferer

__all__ = ["serve"]


@grouped
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; by default this machine alone is heard.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Faces in a batch that requests share.", show_default="by the device")
    ] = None,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests at a time; each beyond gets a 503.")] = 64,
    max_upload: Annotated[float, typer.Option(min=0.001, help="MiB that a request may send.")] = 16,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until a request must have its answer.")] = 60,
    max_connections: Annotated[int, typer.Option(min=1, help="Clients at a time.")] = 512,
    allow_host: AllowHost = None,
    attributes: AttributeFile = None,
    compute: Compute = BUNDLED,
    marked: Marking = MARKED,
) -> None:
    """Answer HTTP requests: encode, decode, mean, transfer, sweep, manipulate, mix, sample.

    Requests that come at the same time share batches. /openapi.json describes everything, /v1/health tells the state.
    """
    from flowxfer.serve import Limits, create_app, listen, run

    marking = marks(marked)
    limits = Limits(
        max_queue=max_queue,
        max_upload_bytes=round(max_upload * 2**20),
        timeout_s=timeout,
        max_connections=max_connections,
    )
    flow = transferer(compute, batch_size=batch_size)
    app = create_app(flow, limits, marking, attributes_of(flow, attributes), hosts=[host, *(allow_host or [])])
    with listen(host, port) as listener:
        at, port, *_ = listener.getsockname()
        address = f"[{at}]" if ":" in at else at
        typer.echo(f"{flow.manifest.name} at http://{address}:{port}; Ctrl-C ends it")
        run(app, listener)
