"""The app without proxies: it is a page of this machine, and what its page is asked for goes nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_proxies"]

_NAMES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


@contextmanager
def without_proxies() -> Iterator[None]:
    """Hide the variables that name proxies, of which Gradio's client reads each, and stumbles over some.

    It asks its own page whether it is there, which no proxy knows; SOCKS takes a package that it does not bring; and it
    takes a network of IPv6 in ``no_proxy`` for a host with a port.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _NAMES}
    try:
        yield
    finally:
        os.environ.update(hidden)
