"""What is done to all pictures and films of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowxfer.bundle import Precision
from flowxfer.engines.protocol import EngineName
from flowxfer.errors import BundleError
from flowxfer.faces import Choice, Detector, Paste, paste_blend
from flowxfer.images import Pixels
from flowxfer.provenance import Mark
from flowxfer.transferer import Transferer
from flowxfer.types import Alpha

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """All that a worker has to know, wherever it runs; it can be pickled.

    Attributes:
        model: its name, or its bundle's folder, which every worker can read.
        model_hash: what its manifest says; a worker that finds another model under this name refuses to work.
        expression: the aligned face that performs, RGB, shape (size, size, 3), uint8.
        neutral: the performer without expression, shape (N, size, size, 3), uint8.
        alpha: strength of the transfer.
        face: whose face changes in photographs and films; ``"all"`` is for photographs only.
        detector: makes what finds faces, such as the class itself; None is the default of photographs and films.
        rotations: also find faces in photographs that lie on their side or their head.
        paste: how faces come back.
        codec: of films, see :func:`flowxfer.video.open_sink`.
        quality: likewise.
        mark: what the results say of how they were made; None is nothing.
        providers: execution providers in order of preference; None chooses.
        threads: of a worker on the CPU; None leaves it to the engine.
        engine: what computes the model.
        precision: in which exact precision PyTorch does; None takes the model's.
        plain: subtract the performer's pictures even where the model could read their expression.
    """

    model: str
    model_hash: str
    expression: Pixels
    neutral: Pixels
    alpha: Alpha = 0.4
    face: Choice = "largest"
    detector: Callable[[], Detector] | None = None
    rotations: bool = False
    paste: Paste = paste_blend
    codec: str | None = None
    quality: int | None = None
    mark: Mark | None = None
    providers: tuple[str, ...] | None = None
    threads: int | None = None
    engine: EngineName = "onnxruntime"
    precision: Precision | None = None
    plain: bool = False

    @property
    def size(self) -> int:
        """Height and width of a face in pixels."""
        return len(self.expression)

    def transferer(self) -> Transferer:
        """Load the model.

        Raises:
            BundleError: it is another one than the batch began with.
        """
        flow = Transferer(
            self.model,
            providers=self.providers,
            threads=self.threads,
            engine=self.engine,
            precision=self.precision,
            plain=self.plain,
        )
        if flow.manifest.model_hash != self.model_hash:
            raise BundleError(
                f"expected the model {self.model} with the hash {self.model_hash[:12]}, got one with "
                f"{flow.manifest.model_hash[:12]}; install the same flowxfer and models on every machine"
            )
        return flow

    def make_detector(self) -> Detector | None:
        """Make what finds faces."""
        return self.detector and self.detector()

    def settings(self) -> dict[str, Any]:
        """Tell in JSON values what a film's bytes depend on, beside the film and its encoder."""
        import hashlib

        from flowxfer.video.job import named

        return {
            "model": self.model_hash,
            "engine": [self.engine, self.precision],
            **({"plain": True} if self.plain else {}),
            "performer": [hashlib.sha256(faces.tobytes()).hexdigest() for faces in (self.expression, self.neutral)],
            "alpha": self.alpha if isinstance(self.alpha, (int, float)) else list(self.alpha),
            "face": named(self.face),
            "detector": repr(self.detector),
            "paste": getattr(self.paste, "__name__", repr(self.paste)),
            "mark": self.mark and self.mark.settings,
        }
