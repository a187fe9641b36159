"""The application: routes, limits and errors around one model; and the server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from functools import partial

import uvicorn
from anyio import CapacityLimiter
from fastapi import FastAPI

from flowxfer import __version__
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.provenance import Marks
from flowxfer.serve import routes, status
from flowxfer.serve.gate import Gate
from flowxfer.serve.limits import Limits
from flowxfer.serve.problems import handle_errors
from flowxfer.serve.service import Service
from flowxfer.transferer import Transferer
from flowxfer.web.connections import Connection, Sparse, ignore_exhaustion, room
from flowxfer.web.hosts import LOOPBACK, Hosts

__all__ = ["create_app", "listen", "run"]

_ABOUT = """Give a face the expression of another person, with OpenAI's Glow.

Files come in as `multipart/form-data`. A face is a picture of the model's size, or square and then resized; or latents,
a safetensors file that `/v1/encode` or `/v1/mean` gave. One result is a picture, several are a ZIP. Every error is JSON
with one sentence, `{"error": "…"}`.
"""


def create_app(
    flow: Transferer,
    limits: Limits | None = None,
    marks: Marks | None = None,
    attributes: Attributes | None = None,
    hosts: Sequence[str] = LOOPBACK,
) -> FastAPI:
    """Make an ASGI application of a model.

    Args:
        flow: the model; requests share batches of its size.
        limits: what the application accepts.
        marks: how pictures are marked; by default they say that they are synthetic.
        attributes: the vectors that faces are moved along; by default those that come with the model.
        hosts: names and addresses that it is called by, without ports, as a request's ``Host`` has them; ``0.0.0.0``
            stands for every address. Others are refused, for a page whose name resolves to this machine could read
            what it must not.
    """
    limits = limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(flow, attributes)
        yield
        app.state.service.close()

    app = FastAPI(
        title="flowxfer",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from the network
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        form_limits={"max_files": limits.max_pictures, "max_fields": 256, "max_part_size": 1 << 16},
    )
    app.state.requests, app.state.limits, app.state.marks = 0, limits, marks or Marks()
    app.state.decoders = CapacityLimiter(os.cpu_count() or 1)  # uploads that are read at a time: each may be large
    app.include_router(routes.router)
    app.include_router(status.router)
    app.add_middleware(Gate, limits=limits)
    app.add_middleware(Hosts, hosts=hosts)
    handle_errors(app)
    return app


def listen(host: str = "127.0.0.1", port: int = 8000) -> socket.socket:
    """Take a port.

    Args:
        host: the address to listen at; loopback is heard on this machine only.
        port: likewise; 0 takes a free one.

    Raises:
        InputError: the address is not this machine's, or the port is taken or reserved.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"expected a free port {port} at {host}: {error.strerror}; choose another") from error


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serve an application until it is told to stop, by Ctrl-C or SIGTERM; what was begun by then is finished.

    Args:
        app: from :func:`create_app`.
        listener: from :func:`listen`.
    """
    limits: Limits = app.state.limits
    most, backlog = room(limits.max_connections)
    config = uvicorn.Config(
        app,
        http=partial(Connection, request_s=limits.timeout_s, most=most),  # type: ignore[arg-type]  # which is called, and no more
        backlog=backlog,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(limits.timeout_s) + 1,
    )
    for name in ("asyncio", "uvicorn.error", "flowxfer.web.connections", "flowxfer.serve.problems"):
        logging.getLogger(name).addFilter(Sparse())

    async def serve() -> None:
        ignore_exhaustion(asyncio.get_running_loop())
        await uvicorn.Server(config).serve(sockets=[listener])

    with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands it on when it has ended
        asyncio.run(serve())
