from __future__ import annotations

from fractions import Fraction

import pytest

from tests.video.films import make_film

BFRAMES = {"g": "12", "bf": "2", "preset": "ultrafast", "x264-params": "b-adapt=0:scenecut=0"}
QUICK_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "30"}
VARYING = [0, 3000, 6600, 9000, 16000, 16750, 22000, 30030, 33033, 45000, 45100, 90000]  # of 1/90000 s

RECIPES = {
    "h264": (
        "h264.mp4",
        {
            "frames": 60,
            "options": BFRAMES,
            "sounds": ("aac", "aac"),
            "subtitles": "mov_text",
            "tags": {"title": "A film"},
            "chapters": ((0, 1, "One"), (1, 3, "Two")),
        },
    ),
    "mkv": (
        "mkv.mkv",
        {"frames": 60, "options": BFRAMES, "sounds": ("libopus",), "subtitles": "subrip", "tags": {"title": "A film"}},
    ),
    "vp9": (
        "vp9.webm",
        {"codec": "libvpx-vp9", "size": (49, 67), "rate": 30, "options": QUICK_VP9, "sounds": ("libopus",)},
    ),
    "varying": (
        "varying.mp4",
        {"ticks": VARYING, "time_base": Fraction(1, 90_000), "options": BFRAMES, "sounds": ("aac",)},
    ),
    "silent": ("silent.mov", {"frames": 20, "options": BFRAMES, "aspect": Fraction(4, 3)}),
    "late": ("late.mkv", {"frames": 20, "ticks": range(10, 30), "options": BFRAMES, "sounds": ("libopus",)}),
    "negative": ("negative.mp4", {"ticks": range(-5, 20), "options": {"g": "5", "bf": "0"}}),
    "one": ("one.mp4", {"frames": 1}),
    "zero": ("zero.mkv", {"ticks": [], "sounds": ("aac",)}),
    "sound": ("sound.mp4", {"ticks": [], "sounds": ("aac",)}),
    "ten_bits": (
        "ten_bits.mkv",
        {"frames": 12, "pixel_format": "yuv420p10le", "colours": (9, 1, 9, 16), "options": BFRAMES},
    ),
    "full_range": ("full.mp4", {"frames": 12, "pixel_format": "yuvj420p", "colours": (1, 2, 1, 1), "options": BFRAMES}),
    "lossless": ("lossless.mkv", {"frames": 25, "codec": "ffv1", "size": (49, 67)}),
    "yuv444": ("yuv444.mkv", {"frames": 8, "codec": "ffv1", "pixel_format": "yuv444p", "size": (49, 67)}),
    "rgb": ("rgb.mkv", {"frames": 8, "codec": "ffv1", "pixel_format": "bgr0", "colours": (0, 2, 1, 13)}),
}


class Films(dict):
    """Films by name, made when they are first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def __missing__(self, name):
        file, recipe = RECIPES[name]
        self[name] = make_film(self.folder / file, **recipe)
        return self[name]


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return Films(tmp_path_factory.mktemp("films"))
