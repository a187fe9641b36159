"""The page as a whole, and the server that shows it."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from flowxfer.app import attributes_tab, film_tab, other_tabs, style, transfer_tab
from flowxfer.app.folder import FOLDER
from flowxfer.app.making import Making
from flowxfer.app.private import Private
from flowxfer.app.studio import Studio
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.provenance import Marks
from flowxfer.transferer import Transferer
from flowxfer.web.connections import Connection, room
from flowxfer.web.hosts import Hosts

Built = TypeVar("Built")

__all__ = ["create_app", "serving"]

_ABOUT = """# flowxfer
Give a face the expression of another person. The people here are rendered: none of them exists. Show real people only
with their consent.
"""
_SESSIONS = 200  # whose choices are kept in memory
_WAITING = 64  # actions of all sessions
_CONNECTIONS = 512
_PATIENCE_S = 5


def create_app(studio: Studio, making: Making) -> gr.Blocks:
    """Build the page.

    Args:
        studio: what it computes with.
        making: the films of all sessions.
    """
    page = gr.Blocks(title="flowxfer", analytics_enabled=False, delete_cache=(600, 3600))
    with page:
        gr.Markdown(_ABOUT)
        with gr.Tab("Transfer"):
            transfer_tab.lay_out(studio, page)
        with gr.Tab("Mix"):
            other_tabs.lay_out_mix(studio, page)
        if studio.attributes:
            with gr.Tab("Attributes"):
                attributes_tab.lay_out(studio, page)
        with gr.Tab("Sample"):
            other_tabs.lay_out_sample(studio)
        with gr.Tab("Film"):
            film_tab.lay_out(studio, making)
        page.unload(making.end)
    page.queue(default_concurrency_limit=os.cpu_count(), max_size=_WAITING)
    return page


@contextmanager
def serving(
    flow: Transferer,
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    max_upload_bytes: int = 64 << 20,
    max_files_bytes: int = 4 << 30,
    hosts: Sequence[str] = (),
    marks: Marks | None = None,
    attributes: Attributes | None = None,
) -> Iterator[str]:
    """Show the app and yield its address; results lie in a folder of its own, which goes with it.

    Args:
        flow: the model.
        host: the address to listen at; loopback is heard on this machine only.
        port: likewise; None takes a free one.
        max_upload_bytes: of one file.
        max_files_bytes: of all files that the app keeps at a time.
        hosts: names that it may be called by beside ``host``, see :class:`flowxfer.web.hosts.Hosts`.
        marks: makes what results say of how they were made; by default that they are synthetic.
        attributes: the vectors that faces are moved along; by default those that come with the model.

    Raises:
        InputError: the port is taken.
    """
    port = _free_port(host, port or 0)
    making = Making()
    with tempfile.TemporaryDirectory(dir=FOLDER) as results:
        studio = Studio(flow, Path(results), marks=marks, attributes=attributes)
        page = _in_a_loop(lambda: create_app(studio, making))
        app = _in_a_loop(lambda: _mounted(page, host, port, max_upload_bytes, results))
        guarded = Hosts(Private(app, FOLDER, max_files_bytes), [host, *hosts])
        with _served(guarded, host, port):
            try:
                yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
            finally:
                making.close()
                page.is_running = False  # its answers that go on and on end by this


def _mounted(page: gr.Blocks, host: str, port: int, max_upload_bytes: int, results: str) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(CORSMiddleware)  # allows nobody; Gradio's own allows whoever asks by a name of its own
    page.state_session_capacity = _SESSIONS
    gr.mount_gradio_app(
        app,
        page,
        "",
        server_name=host,
        server_port=port,
        footer_links=[],
        max_file_size=max_upload_bytes,
        allowed_paths=[results],
        ssr_mode=False,
        theme=style.theme(),
        css=style.CSS,
    )
    return app


def _in_a_loop(build: Callable[[], Built]) -> Built:
    """Build what wants an event loop: where none runs, Gradio makes some and leaves them open."""

    async def built() -> Built:
        return build()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(built())
    return build()


@contextmanager
def _served(app: Any, host: str, port: int) -> Iterator[None]:
    """Serve an ASGI application in a thread, within the limits that the service has too, but for time."""
    most, backlog = room(_CONNECTIONS)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=partial(Connection, request_s=math.inf, most=most),  # type: ignore[arg-type]  # which is called, and no more
            backlog=backlog,
            log_level="critical",  # at the end some answers are cut off
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, name="flowxfer-app", daemon=True)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    if not server.started:
        raise InputError(f"expected a free port {port} at {host}, but it was taken; choose another")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)  # and then leaves behind who is still at work


def _free_port(host: str, port: int) -> int:
    """The port if it is free, and any free one for 0; Gradio would leave the sockets open with which it finds out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            free: int = server.getsockname()[1]
    except OSError as error:
        raise InputError(f"expected a free port {port} at {host}: {error.strerror}; choose another") from error
    return free
