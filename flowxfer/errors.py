"""Every error that flowxfer raises on purpose.

    FlowxferError
    ├── InputError (ValueError)        an argument that cannot be used
    │   ├── ShapeError                 an array of the wrong shape or dtype
    │   ├── ImageError                 a picture that cannot be read
    │   └── LatentsError               latents of another model, or a damaged latents file
    ├── WeightsError                   weights that are missing, unexpected or not understood
    ├── BundleError                    a bundle that is damaged, incomplete or of another version
    ├── ParityError                    an exported graph that does not compute what the model computes
    ├── ProviderError                  an execution provider that was asked for and cannot be had
    ├── DivergenceError                a training run whose gradient is no longer finite
    ├── DownloadError                  a model that cannot be fetched or does not match its hash
    └── MissingExtraError (ImportError)   an optional dependency that is not installed

Each message says what was expected, what came, and the way out.
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "DivergenceError",
    "DownloadError",
    "FlowxferError",
    "ImageError",
    "InputError",
    "LatentsError",
    "MissingExtraError",
    "ParityError",
    "ProviderError",
    "ShapeError",
    "WeightsError",
]


class FlowxferError(Exception):
    """The root: catch it to catch whatever flowxfer reports."""


class InputError(FlowxferError, ValueError):
    """An argument that cannot be used."""


class ShapeError(InputError):
    """An array of the wrong shape or dtype."""


class ImageError(InputError):
    """A picture that cannot be read."""


class LatentsError(InputError):
    """Latents that belong to another model, or a latents file that is damaged."""


class WeightsError(FlowxferError):
    """Weights that are missing, unexpected or not understood."""


class BundleError(FlowxferError):
    """A bundle that is damaged, incomplete or of another version."""


class ParityError(FlowxferError):
    """An exported graph that does not compute what the model computes."""


class ProviderError(FlowxferError):
    """An execution provider that was asked for and cannot be had."""


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
