from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor


@pytest.fixture
def seed_folder():
    """The paper's published tables and pictures: FLOWXFER_SEED/seed_tables, seed_images, weights."""
    root = os.environ.get("FLOWXFER_SEED")
    if not root:
        pytest.skip("FLOWXFER_SEED does not name the folder with seed_tables, seed_images and weights")
    return Path(root)


@pytest.fixture(scope="session")
def facenet_pytorch():
    """facenet-pytorch, also beside a PyTorch for which there is no torchvision with compiled operators."""
    try:
        return pytest.importorskip("facenet_pytorch")
    except RuntimeError as error:
        assert "torchvision::" in str(error)  # noqa: PT017
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]  # what the failed import has left
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms, "CPU")
    importlib.import_module("torchvision.extension")._has_ops = lambda: True
    module = importlib.import_module("facenet_pytorch")
    module.operators = library  # they go when the library does
    return module


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes (N, 4) that no better one overlaps by more than the threshold, best first."""
    order, kept = scores.argsort(descending=True, stable=True), []
    x0, y0, x1, y1 = boxes.unbind(1)
    area = (x1 - x0) * (y1 - y0)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        width = torch.minimum(x1[best], x1[rest]) - torch.maximum(x0[best], x0[rest])
        height = torch.minimum(y1[best], y1[rest]) - torch.maximum(y0[best], y0[rest])
        overlap = width.clamp(min=0) * height.clamp(min=0)
        order = rest[overlap / (area[best] + area[rest] - overlap) <= iou_threshold]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)
