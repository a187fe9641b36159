"""The page as a whole, and the server that shows it."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from flowxfer.app import attributes_tab, film_tab, other_tabs, style, transfer_tab
from flowxfer.app.folder import FOLDER
from flowxfer.app.making import Making
from flowxfer.app.proxies import without_proxies
from flowxfer.app.studio import Studio
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.provenance import Marks
from flowxfer.transferer import Transferer

__all__ = ["create_app", "serving"]

_ABOUT = """# flowxfer
Give a face the expression of another person. The people here are rendered: none of them exists. Show real people only
with their consent.
"""
_SESSIONS = 200  # whose choices are kept in memory
_WAITING = 64  # actions of all sessions


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
    marks: Marks | None = None,
    attributes: Attributes | None = None,
) -> Iterator[str]:
    """Show the app and yield its address; results lie in a folder of its own, which goes with it.

    Args:
        flow: the model.
        host: the address to listen at; loopback is heard on this machine only.
        port: likewise; None takes a free one.
        max_upload_bytes: of one file.
        marks: makes what results say of how they were made; by default that they are synthetic.
        attributes: the vectors that faces are moved along; by default those that come with the model.

    Raises:
        InputError: the port is taken.
    """
    port = _free_port(host, port or 0)
    making = Making()
    with tempfile.TemporaryDirectory(dir=FOLDER) as results:
        page = create_app(Studio(flow, Path(results), marks=marks, attributes=attributes), making)
        with _launched(page, host, port, max_upload_bytes, results) as address:
            try:
                yield address
            finally:
                making.close()


@contextmanager
def _launched(page: gr.Blocks, host: str, port: int, max_upload_bytes: int, results: str) -> Iterator[str]:
    with without_proxies():
        _, address, _ = _launch(page, host, port, max_upload_bytes, results)
    try:
        yield address
    finally:
        page.close(verbose=False)  # which waits five seconds for whoever is still at work, and then leaves them behind


def _launch(page: gr.Blocks, host: str, port: int, max_upload_bytes: int, results: str) -> tuple[Any, str, Any]:
    return page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        footer_links=[],
        max_file_size=max_upload_bytes,
        allowed_paths=[results],
        state_session_capacity=_SESSIONS,
        ssr_mode=False,
        theme=style.theme(),
        css=style.CSS,
    )


def _free_port(host: str, port: int) -> int:
    """The port if it is free, and any free one for 0; Gradio would leave the sockets open with which it finds out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as server:
            free: int = server.getsockname()[1]
    except OSError as error:
        raise InputError(f"expected a free port {port} at {host}: {error.strerror}; choose another") from error
    return free
