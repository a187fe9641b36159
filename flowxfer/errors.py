"""Every error that flowxfer raises on purpose.

    FlowxferError
    ├── InputError (ValueError)        an argument that cannot be used
    │   ├── ShapeError                 an array of the wrong shape or dtype
    │   ├── ImageError                 a picture that cannot be read
    │   ├── VideoError                 a film that cannot be read or written
    │   ├── ProvenanceError            a file whose mark cannot be written, signed or read back
    │   └── LatentsError               latents of another model, or a damaged latents file
    ├── WeightsError                   weights that are missing, unexpected or not understood
    ├── BundleError                    a bundle that is damaged, incomplete or of another version
    ├── ParityError                    an exported graph that does not compute what the model computes
    ├── ClusterError                   a Ray cluster that cannot be reached or used
    ├── ProviderError                  an execution provider that was asked for and cannot be had
    ├── ExactnessError                 an exact precision that loses pixels on this engine, provider or machine
    ├── DivergenceError                a training run whose gradient is no longer finite
    ├── DownloadError                  a model that cannot be fetched or does not match its hash
    └── MissingExtraError (ImportError)   an optional dependency that is not installed

Each message says what was expected, what came, and the way out.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "ClusterError",
    "DivergenceError",
    "DownloadError",
    "ExactnessError",
    "FlowxferError",
    "ImageError",
    "InputError",
    "LatentsError",
    "MissingExtraError",
    "ParityError",
    "ProvenanceError",
    "ProviderError",
    "ShapeError",
    "VideoError",
    "WeightsError",
    "printable",
    "reason",
    "shortened",
    "unimportable",
]


def printable(text: str) -> str:
    """The text with escapes for what a terminal would obey instead of show, line breaks apart."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def reason(error: BaseException) -> str:
    """What an exception of another library says, as a part of a sentence; see :func:`shortened`."""
    return shortened(error) or type(error).__name__


def shortened(what: object) -> str:
    """What somebody sent, as a part of a sentence: on one line, printable, of at most 200 characters."""
    text = printable(" ".join(str(what)[:2000].split()))
    return text if len(text) <= 200 else f"{text[:199]}…"


class FlowxferError(Exception):
    """The root: catch it to catch whatever flowxfer reports."""


class InputError(FlowxferError, ValueError):
    """An argument that cannot be used."""


class ShapeError(InputError):
    """An array of the wrong shape or dtype."""


class ImageError(InputError):
    """A picture that cannot be read."""


class VideoError(InputError):
    """A film that cannot be read or written, or whose work is another run's."""


class LatentsError(InputError):
    """Latents that belong to another model, or a latents file that is damaged."""


class ProvenanceError(InputError):
    """A file whose mark cannot be written, signed or read back."""


class WeightsError(FlowxferError):
    """Weights that are missing, unexpected or not understood."""


class BundleError(FlowxferError):
    """A bundle that is damaged, incomplete or of another version."""


class ParityError(FlowxferError):
    """An exported graph that does not compute what the model computes."""


class ClusterError(FlowxferError):
    """A Ray cluster that cannot be reached, or cannot run workers."""


class ProviderError(FlowxferError):
    """An execution provider that was asked for and cannot be had."""


class ExactnessError(FlowxferError):
    """An exact precision whose round trip loses pixels on this engine, provider or machine."""


class DivergenceError(FlowxferError):
    """A training run whose gradient is no longer finite."""


class DownloadError(FlowxferError):
    """A model that cannot be fetched or does not match its hash."""


class MissingExtraError(FlowxferError, ImportError):
    """An optional dependency that is not installed.

    Args:
        package: the import that failed, such as ``"torch"``.
        extra: the extra of flowxfer that installs it, such as ``"export"``.
        purpose: what needs it, as the subject of a sentence.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; pip install 'flowxfer[{extra}]' brings it"
        )


def unimportable(error: ImportError, package: str, extra: str, purpose: str) -> FlowxferError:
    """The error for an import that failed: the package is missing, or it is there and does not start.

    Args:
        error: what the import raised.
        package: as of :class:`MissingExtraError`.
        extra: likewise.
        purpose: likewise.
    """
    if isinstance(error, ModuleNotFoundError):
        return MissingExtraError(package, extra, purpose)
    return InputError(f"{purpose} needs {package}, which is installed and does not start: {reason(error)}")
