"""Is it still the same person? Distances between embeddings of faces.

The paper's likeness is the distance of FaceNet embeddings ("FaceNet: A unified embedding for face recognition
and clustering", CVPR 2015) as facenet-pytorch computes them: :class:`Facenet`. :class:`Dlib` needs neither
PyTorch nor a download beyond its packages, on another scale.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from PIL import Image

from flowxfer.errors import DownloadError, InputError, ShapeError, WeightsError, unimportable
from flowxfer.evaluation.action_units import Floats
from flowxfer.faces.dlib_models import RECOGNITION, dlib_model, import_dlib
from flowxfer.images import Pixels
from flowxfer.models.cache import offline

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["Dlib", "Embedder", "Facenet", "Pretrained", "distance"]

Pretrained: TypeAlias = Literal["vggface2", "casia-webface"]

_MTCNN_PX = 20  # side of the smallest face that MTCNN looks for
_DLIB_PURPOSE = "The offline likeness score"
_DLIB_PX = 256  # side of a picture in which an aligned face is large enough for dlib's detector


class Embedder(Protocol):
    """Whatever turns faces into points whose distance says how unlike they are."""

    @property
    def scale(self) -> str:
        """A name; distances compare only within one scale."""
        ...

    def embed(self, pictures: Sequence[Pixels]) -> Floats:
        """Embed the largest face of each picture.

        Args:
            pictures: N, RGB, each of shape (H, W, 3), uint8.

        Returns:
            float64, shape (N, D); a row of nan, "not measured", where no face is found.
        """
        ...


def distance(a: Floats, b: Floats) -> Floats:
    """Euclidean distance between embeddings (…, D), which broadcast; nan where either was not measured.

    Raises:
        ShapeError: the embeddings have other lengths, as those of two embedders have.
    """
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"expected embeddings of one length, got {a.shape[-1]} and {b.shape[-1]}; use one embedder")
    return np.asarray(np.linalg.norm(a - b, axis=-1))


class Facenet:
    """The paper's reference: facenet-pytorch's MTCNN, image_size 160 and margin 0, and its InceptionResnetV1.

    Embeddings have 512 numbers and unit length, distances lie between 0 and 2. Pillow resizes the faces: its versions
    before 13 give the published figures to 1e-5, 13 to about 5e-3.

    Args:
        pretrained: the pictures that the network was trained on.
        weights: a file of its state dict; by default facenet-pytorch downloads it once.
        device: where it runs, such as ``"cuda"``.
        batch_size: pictures at a time.

    Raises:
        DownloadError: the weights have to be downloaded and cannot be, or FLOWXFER_OFFLINE forbids it.
        WeightsError: ``weights`` is missing or holds another network.
        InputError: torchvision does not fit torch, or ``pretrained`` is another.
        MissingExtraError: facenet-pytorch is not installed.
    """

    def __init__(
        self,
        pretrained: Pretrained = "vggface2",
        *,
        weights: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise unimportable(error, error.name or "facenet_pytorch", "facenet", "The likeness score") from error
        except RuntimeError as error:  # torchvision's, beside a torch that it was not built for
            raise InputError(f"expected a torchvision built for this torch, but importing it fails: {error}") from error
        self.scale = f"facenet {pretrained}"
        self._batch_size, self._device = batch_size, device
        self._mtcnn = MTCNN(image_size=160, margin=0, device=device)
        network = _downloaded(pretrained) if weights is None else _loaded(Path(weights))
        self._network: Any = network.eval().to(device)

    def embed(self, pictures: Sequence[Pixels]) -> Floats:
        """Embed the largest face of each picture, as :class:`Embedder` says."""
        import torch

        embeddings = np.full((len(pictures), 512), np.nan)
        for indices in _batches(pictures, self._batch_size):
            batch = [Image.fromarray(pictures[index]) for index in indices]
            # detect and extract, not MTCNN's call: that fails on a batch in which some pictures have no face.
            crops = self._mtcnn.extract(batch, self._mtcnn.detect(batch)[0], None)
            found = [(index, crop) for index, crop in zip(indices, crops, strict=True) if crop is not None]
            if found:
                faces = torch.stack([crop for _, crop in found]).to(self._device)
                with torch.inference_mode():
                    embeddings[[index for index, _ in found]] = self._network(faces).cpu().numpy()
        return embeddings


class Dlib:
    """dlib's face recognition network: 128 numbers, without PyTorch and offline.

    **Another scale**: dlib calls two pictures one person below a distance of 0.6. On the paper's 220 pictures its
    distances to the target follow :class:`Facenet`'s with a Spearman correlation of .89, those to the source only with
    .73: it ranks, but does not replace the paper's figures.
    Source: https://github.com/davisking/dlib-models, CC0; the HOG detector finds nearly frontal faces.

    Args:
        batch_size: pictures at a time.

    Raises:
        MissingExtraError: dlib or the package with its networks is not installed.
    """

    scale = "dlib"

    def __init__(self, *, batch_size: int = 32) -> None:
        dlib = import_dlib(_DLIB_PURPOSE)
        self._batch_size = batch_size
        self._chip = dlib.get_face_chip
        self._detect = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(dlib_model("shape_predictor_5_face_landmarks.dat", _DLIB_PURPOSE))
        self._network = dlib.face_recognition_model_v1(dlib_model(RECOGNITION, _DLIB_PURPOSE))

    def embed(self, pictures: Sequence[Pixels]) -> Floats:
        """Embed the largest face of each picture, as :class:`Embedder` says."""
        embeddings = np.full((len(pictures), 128), np.nan)
        crops = [self._crop(np.ascontiguousarray(picture)) for picture in pictures]
        found = [index for index, crop in enumerate(crops) if crop is not None]
        for start in range(0, len(found), self._batch_size):
            indices = found[start : start + self._batch_size]
            embeddings[indices] = self._network.compute_face_descriptor([crops[index] for index in indices])
        return embeddings

    def _crop(self, picture: Pixels) -> Pixels | None:
        # The detector's window is 80 pixels: a face in a picture of 64 has to be enlarged to be seen.
        upsample = max(0, math.ceil(math.log2(_DLIB_PX / max(picture.shape[:2]))))
        faces = self._detect(picture, upsample)
        if not faces:
            return None
        largest = max(faces, key=lambda face: face.area())
        crop: Pixels = self._chip(picture, self._landmarks(picture, largest), size=150, padding=0.25)
        return crop


def _batches(pictures: Sequence[Pixels], batch_size: int) -> Iterator[list[int]]:
    """Yield indices of pictures of one size, for MTCNN takes no others together, and none below its smallest face."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(pictures):
        if min(picture.shape[:2]) >= _MTCNN_PX:
            by_size.setdefault(picture.shape, []).append(index)
    for indices in by_size.values():
        for start in range(0, len(indices), batch_size):
            yield indices[start : start + batch_size]


def _downloaded(pretrained: str) -> Module:
    from facenet_pytorch import InceptionResnetV1
    from facenet_pytorch.models.inception_resnet_v1 import get_torch_home

    if pretrained not in ("vggface2", "casia-webface"):
        raise InputError(f"expected vggface2 or casia-webface, got {pretrained!r}")
    kept = any(Path(get_torch_home(), "checkpoints").glob(f"*-{pretrained}.pt"))
    way_out = "fetch the weights elsewhere and name the file with weights="
    if offline() and not kept:
        raise DownloadError(
            f"facenet-pytorch's {pretrained} is not on this machine, and FLOWXFER_OFFLINE forbids downloads; {way_out}"
        )
    try:
        network: Module = InceptionResnetV1(pretrained=pretrained)
    except OSError as error:  # urllib's errors are OSErrors
        raise DownloadError(f"facenet-pytorch could not fetch {pretrained}: {error}; {way_out}") from error
    return network


def _loaded(path: Path) -> Module:
    import torch
    from facenet_pytorch import InceptionResnetV1

    network: Module = InceptionResnetV1()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # facenet-pytorch's own files hold the classifier too, which an embedding does not need.
        network.load_state_dict({name: value for name, value in state.items() if not name.startswith("logits.")})
    except Exception as error:  # torch.load raises whatever pickle, zipfile and the disk raise
        raise WeightsError(
            f"expected a state dict of InceptionResnetV1 in {path}, but it cannot be read: {error}"
        ) from error
    return network
