"""What is done to the faces of a film: give them one expression, or that of a performer, frame by frame."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flowxfer.errors import InputError, reason
from flowxfer.images import Pixels
from flowxfer.latents import Latents
from flowxfer.transferer import Transferer
from flowxfer.types import Alpha
from flowxfer.video.neutral import Neutral
from flowxfer.video.pipeline import Step

__all__ = ["Drive", "Edit", "Smoothing"]

_FLOATS = {"<f4": np.float32, "<f8": np.float64}  # what latents are made of


class Smoothing:
    """Exponential smoothing of latents from frame to frame: ``z̄_t = smooth · z̄_{t−1} + (1 − smooth) · z_t``.

    Args:
        smooth: share of the past, from 0, which leaves latents as they are, to below 1. At 0.5 half of a change is
            there in the first frame, at 0.8 after three.

    Raises:
        InputError: it is out of its range.
    """

    def __init__(self, smooth: float) -> None:
        if not 0 <= smooth < 1:
            raise InputError(f"expected smoothing from 0, none, to below 1, got {smooth}")
        self.smooth = smooth
        self._last: list[np.ndarray[Any, Any]] | None = None

    def __call__(self, latents: Latents, began: Sequence[bool]) -> tuple[Latents, list[dict[str, Any] | None]]:
        """Smooth latents of frames that follow each other.

        Args:
            latents: of N frames.
            began: where nothing is to be remembered from before, N.

        Returns:
            The smoothed latents, and the state after each frame.
        """
        if not self.smooth:
            return latents, [None] * len(latents)
        smoothed, states = [], list[dict[str, Any] | None]()
        for index, begins in enumerate(began):
            new = [level[index] for level in latents.levels]
            if self._last is not None and not begins:
                new = [self.smooth * old + (1 - self.smooth) * z for old, z in zip(self._last, new, strict=True)]
            self._last = new
            smoothed.append(new)
            states.append(self.state)
        levels = [np.stack(level) for level in zip(*smoothed, strict=True)]
        return Latents(levels, latents.model_hash), states

    @property
    def state(self) -> dict[str, Any] | None:
        """The last smoothed latents, as JSON values that keep every bit."""
        if self._last is None:
            return None
        levels = [
            {"shape": z.shape, "dtype": z.dtype.str, "bytes": base64.b64encode(z.tobytes()).decode()}
            for z in self._last
        ]
        return {"levels": levels}

    def restore(self, state: dict[str, Any] | None, shapes: Sequence[tuple[int, ...]]) -> None:
        """Go on from a :attr:`state`.

        Args:
            state: None to begin anew.
            shapes: (C, H, W) of each level of the model's latents.

        Raises:
            InputError: it is no state, or of other latents.
        """
        if state is None:
            self._last = None
            return
        try:
            self._last = [
                np.frombuffer(base64.b64decode(level["bytes"]), _FLOATS[level["dtype"]]).reshape(shape)
                for level, shape in zip(state["levels"], shapes, strict=True)
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"expected the state of smoothing, got another or a damaged one: {reason(error)}"
            ) from error


class Edit:
    """Moves every face along the same direction: ``decode(z + alpha · direction)``.

    With smoothing, the change is that of the smoothed latents, ``decode(z̄ + alpha · d) − decode(z̄)``, on the frame's
    own face: what moves in the film moves as before, only the change is steadier.

    Args:
        transferer: the model.
        direction: latents of one, such as an expression vector.
        alpha: strength.
        smoothing: of the film's own latents.
    """

    def __init__(self, transferer: Transferer, direction: Latents, alpha: Alpha, smoothing: Smoothing) -> None:
        self._transferer, self._direction, self._alpha = transferer, direction, alpha
        self.smoothing = smoothing

    def __call__(self, steps: Sequence[Step]) -> list[Step]:
        """Change a batch, as :class:`Change` says."""
        if not steps:
            return []
        crops = _targets(steps)
        if not self.smoothing.smooth:
            decoded = self._transferer.manipulate(crops, self._direction, self._alpha)
            return _decoded(steps, decoded, [None] * len(steps))
        smooth, states = self.smoothing(self._transferer.encode(crops), [step.began for step in steps])
        new = self._transferer.manipulate(smooth, self._direction, self._alpha)
        change = new.astype(np.int16) - self._transferer.decode(smooth)
        return _decoded(steps, (crops + change).clip(0, 255).astype(np.uint8), states)


class Drive:
    """Gives each face what the performer does: ``decode(z_target + alpha · (z_performer − z_neutral(turn)))``.

    Args:
        transferer: the model.
        neutral: the performer without expression.
        alpha: strength.
        smoothing: of the performer's latents.
    """

    def __init__(self, transferer: Transferer, neutral: Neutral, alpha: Alpha, smoothing: Smoothing) -> None:
        self._transferer, self._neutral, self._alpha, self.smoothing = transferer, neutral, alpha, smoothing
        self._still: tuple[Any, Latents] | None = None

    def __call__(self, steps: Sequence[Step]) -> list[Step]:
        """Change a batch, as :class:`Change` says; each step has a performer."""
        if not steps:
            return []
        crops = np.stack([step.performer.crop for step in steps if step.performer is not None])
        performers = self._neutral.unturned(self._transferer.encode(crops), [step.turn for step in steps])
        performers, states = self.smoothing(performers, [step.began for step in steps])
        decoded = self._transferer.transfer(self._faces(steps), performers, self._neutral.latents, self._alpha)
        return _decoded(steps, decoded, states)

    def _faces(self, steps: Sequence[Step]) -> Latents | Pixels:
        """Return the targets; a photograph's face, which is every step's, is encoded once."""
        first = steps[0].target
        assert first is not None
        if any(step.target is not first for step in steps):
            return _targets(steps)
        if self._still is None or self._still[0] is not first:
            self._still = first, self._transferer.encode(first.crop)
        latents = self._still[1]
        return Latents([np.repeat(level, len(steps), 0) for level in latents.levels], latents.model_hash)


def _targets(steps: Sequence[Step]) -> Pixels:
    return np.stack([step.target.crop for step in steps if step.target is not None])


def _decoded(steps: Sequence[Step], decoded: Pixels, states: Sequence[dict[str, Any] | None]) -> list[Step]:
    return [
        replace(step, decoded=new, state={**(step.state or {}), "smoothing": state})
        for step, new, state in zip(steps, decoded, states, strict=True)
    ]
