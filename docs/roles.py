"""Docstrings name things with Sphinx's roles; on the site they are plain code."""

from __future__ import annotations

import re

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")


class Roles(Extension):
    """Turn ``:meth:`save``` into code, as Markdown writes it."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Rewrite the docstring of whatever was loaded."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
