"""What a mark says of a picture or film."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

from flowxfer.provenance.signer import Signer
from flowxfer.types import Alpha

__all__ = ["EDITED", "GENERATED", "SYNTHETIC", "Mark", "Marks", "describe", "tool"]

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
EDITED = f"{_IPTC}compositeWithTrainedAlgorithmicMedia"
"""IPTC's digital source type of a picture that a model has changed."""
GENERATED = f"{_IPTC}trainedAlgorithmicMedia"
"""IPTC's digital source type of a picture that a model has drawn."""
SYNTHETIC = frozenset({EDITED, GENERATED, f"{_IPTC}algorithmicMedia", f"{_IPTC}compositeSynthetic"})
"""The digital source types of what no camera saw as it is."""


@dataclass(frozen=True)
class Mark:
    """What a picture or film says of how it was made.

    Args:
        source_type: IPTC's digital source type, a URI: :data:`EDITED`, :data:`GENERATED`, or another of its codes.
        model: the model's name.
        model_hash: identity of the model, from its manifest.
        alphas: the strengths of the transfers in it, each one number or one for each level.
        signer: signs a C2PA manifest on top of the mark.
    """

    source_type: str = EDITED
    model: str | None = None
    model_hash: str | None = None
    alphas: tuple[Alpha, ...] = ()
    signer: Signer | None = None

    @property
    def settings(self) -> list[Any]:
        """What a file's bytes depend on, but for who signs it, as JSON values."""
        return [self.source_type, self.model, self.model_hash, self.alphas]


class Model(Protocol):
    """What a mark says of a model; a bundle's manifest is one."""

    @property
    def name(self) -> str | None:
        """What people call it."""

    @property
    def model_hash(self) -> str:
        """Its identity."""


@dataclass(frozen=True)
class Marks:
    """Makes the marks of one command's or service's results, or None for each where they are not wanted.

    Args:
        wanted: whether results say that they are synthetic.
        signer: signs a C2PA manifest on top.
    """

    wanted: bool = True
    signer: Signer | None = None

    def edited(self, model: Model, *alphas: Alpha) -> Mark | None:
        """The mark of pictures that were given and changed, in these strengths."""
        return self._mark(EDITED, model, alphas)

    def generated(self, model: Model) -> Mark | None:
        """The mark of pictures that the model drew."""
        return self._mark(GENERATED, model)

    def _mark(self, source_type: str, model: Model, alphas: tuple[Alpha, ...] = ()) -> Mark | None:
        return Mark(source_type, model.name, model.model_hash, alphas, self.signer) if self.wanted else None


def tool() -> str:
    """The library and its version: ``flowxfer 0.1.0``."""
    return f"flowxfer {metadata.version('flowxfer')}"


def describe(mark: Mark) -> str:
    """The mark as one sentence for people."""
    what = {EDITED: "changed", GENERATED: "drawn"}.get(mark.source_type, "made")
    model = f", model {mark.model}" if mark.model else ""
    alphas = f", alpha {'; '.join(map(alpha_text, mark.alphas))}" if mark.alphas else ""
    return f"Synthetic: {what} by artificial intelligence ({tool()}{model}{alphas})"


def alpha_text(alpha: Alpha) -> str:
    """``0.4``, or ``0.3,0.4,0.5`` for one number a level."""
    return f"{alpha:g}" if isinstance(alpha, (int, float)) else ",".join(f"{value:g}" for value in alpha)


def parse_alpha(text: str) -> Alpha:
    """Read what :func:`alpha_text` wrote.

    Raises:
        ValueError: it is no finite number.
    """
    values = tuple(float(part) for part in text.split(","))
    if not all(map(math.isfinite, values)):
        raise ValueError(f"expected finite numbers, got {text!r}")
    return values[0] if len(values) == 1 else values
