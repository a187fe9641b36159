"""Faces in photographs: find them, align them as OpenAI aligned CelebA-HQ, and put them back."""

from .alignment import Aligned, align
from .detector import EYES, Detector, Face, crop_transform
from .dlib_detector import DlibDetector
from .mtcnn_detector import MtcnnDetector
from .paste import Paste, paste_blend, paste_change, paste_crop
from .photo import Choice, choose, left_to_right, transfer_photo
from .similarity import Similarity

__all__ = [
    "EYES",
    "Aligned",
    "Choice",
    "Detector",
    "DlibDetector",
    "Face",
    "MtcnnDetector",
    "Paste",
    "Similarity",
    "align",
    "choose",
    "crop_transform",
    "left_to_right",
    "paste_blend",
    "paste_change",
    "paste_crop",
    "transfer_photo",
]
