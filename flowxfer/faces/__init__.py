"""Faces in photographs: find them, align them as OpenAI aligned CelebA-HQ, and put them back."""

from .alignment import Aligned, align
from .detector import EYES, Detector, Face, crop_transform
from .dlib_detector import DlibDetector
from .identity import Reference
from .mtcnn_detector import MtcnnDetector
from .paste import Paste, Patch, paste_blend, paste_change, paste_crop, paste_face, patch
from .photo import Choice, choose, left_to_right, transfer_photo
from .pictures import Picture
from .similarity import Similarity
from .tracking import Tracker

__all__ = [
    "EYES",
    "Aligned",
    "Choice",
    "Detector",
    "DlibDetector",
    "Face",
    "MtcnnDetector",
    "Paste",
    "Patch",
    "Picture",
    "Reference",
    "Similarity",
    "Tracker",
    "align",
    "choose",
    "crop_transform",
    "left_to_right",
    "paste_blend",
    "paste_change",
    "paste_crop",
    "paste_face",
    "patch",
    "transfer_photo",
]
