"""Faces in photographs: find them, align them as OpenAI aligned CelebA-HQ, and put them back."""

from flowxfer.faces.alignment import Aligned, align
from flowxfer.faces.detector import EYES, Detector, Face, crop_transform
from flowxfer.faces.dlib_detector import DlibDetector
from flowxfer.faces.identity import Reference
from flowxfer.faces.mtcnn_detector import MtcnnDetector
from flowxfer.faces.paste import Paste, Patch, paste_blend, paste_change, paste_crop, paste_face, patch
from flowxfer.faces.photo import Choice, choose, left_to_right, transfer_photo
from flowxfer.faces.pictures import Picture
from flowxfer.faces.similarity import Similarity
from flowxfer.faces.tracking import Tracker

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
