"""Four seconds of film with sound: a synthetic person in a room, for the film pipeline to work on."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowxfer.errors import unimportable
from flowxfer.files import replacing
from flowxfer.synth.dataset import Progress, Shoot
from flowxfer.synth.expressions import expression, gaze
from flowxfer.synth.projection import Window
from flowxfer.synth.renderer import render_frame

__all__ = ["film_frame", "write_film"]

_PERSON = 79  # seed
_WIDTH, _HEIGHT, _FPS, _SECONDS = 640, 360, 25, 4
_SAMPLE_RATE = 44_100
# name, and the seconds at which the expression begins, is full, begins to fade and is gone
_SCORE = (
    ("smile", 0.3, 0.7, 1.2, 1.6),
    ("closed", 1.60, 1.70, 1.72, 1.84),
    ("surprise", 1.8, 2.1, 2.5, 2.8),
    ("wink", 2.8, 3.0, 3.2, 3.4),
    ("smile", 3.3, 3.7, 9.0, 9.1),
)


def write_film(path: Path, *, progress: Progress | None = None) -> Path:
    """Render the film as H.264 and AAC in an MP4, under a megabyte.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise unimportable(error, "av", "synth", "the film of a synthetic person") from error
    shoot, total, start = Shoot.sample(_PERSON, jitter=0.4), _FPS * _SECONDS, time.perf_counter()
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=_FPS, options={"crf": "23", "preset": "slow"})
        video.width, video.height, video.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=_SAMPLE_RATE, layout="mono")
        for k in range(total):
            frame = av.VideoFrame.from_ndarray(film_frame(shoot, k / _FPS), format="rgb24")
            container.mux(video.encode(frame))
            if progress:
                progress(k + 1, total, (k + 1) / (time.perf_counter() - start))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(_tune()[None, :], format="fltp", layout="mono")
        samples.sample_rate = _SAMPLE_RATE
        container.mux(audio.encode(samples))
        container.mux(audio.encode())
    return path


class _Room(NamedTuple):
    """A wall out of focus, with a bright window and a shelf of books."""

    wall: tuple[float, float, float]

    def paint(self, height: int, width: int) -> NDArray[np.float64]:
        """Fill a frame: (height, width, 3) float64, linear RGB."""
        y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / height
        frame = np.array(self.wall) * (1.15 - 0.45 * y + 0.0 * x)[..., None]
        for left, right, top, bottom, colour in (
            (0.10, 0.50, 0.08, 0.62, (0.75, 0.85, 0.95)),
            (0.29, 0.31, 0.08, 0.62, (0.30, 0.27, 0.24)),
            (1.25, 1.78, 0.40, 0.43, (0.16, 0.09, 0.05)),
            (1.32, 1.37, 0.22, 0.40, (0.45, 0.10, 0.07)),
            (1.38, 1.42, 0.25, 0.40, (0.08, 0.18, 0.35)),
            (1.44, 1.50, 0.20, 0.40, (0.55, 0.42, 0.16)),
            (1.60, 1.70, 0.30, 0.40, (0.10, 0.28, 0.14)),
        ):
            cover = _soft(x - left) * _soft(right - x) * _soft(y - top) * _soft(bottom - y)
            frame += (np.array(colour) - frame) * cover[..., None]
        return frame


def _soft(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 outside, 1 inside, blurred over a fiftieth of the frame."""
    t = np.clip(distance / 0.04 + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def film_frame(shoot: Shoot, seconds: float) -> NDArray[np.uint8]:
    """Render the picture at a time, (360, 640, 3) uint8: the person sways, turns and goes through the score."""
    vector = gaze(0.25 * math.sin(1.7 * seconds), 0.1 * math.sin(2.3 * seconds))
    for name, begin, full, fade, gone in _SCORE:
        vector = np.maximum(
            vector, expression(name, strength=float(np.interp(seconds, (begin, full, fade, gone), (0, 1, 1, 0))))
        )
    turn = 2 * math.pi * seconds / _SECONDS
    camera = shoot.camera._replace(
        yaw=0.24 * math.sin(turn),
        pitch=0.05 * math.sin(2 * turn),
        roll=0.04 * math.sin(turn + 0.6),
        zoom=1.0 + 0.08 * math.sin(turn - 0.8),
    )
    window = Window(210.0 + 55.0 * math.sin(turn), 70.0 + 6.0 * math.sin(2 * turn), 220.0)
    return render_frame(
        shoot.sitter,
        vector,
        camera,
        light=shoot.light,
        background=_Room((0.34, 0.30, 0.26)),
        width=_WIDTH,
        height=_HEIGHT,
        window=window,
    )


def _tune() -> NDArray[np.float32]:
    """Play a soft arpeggio, (samples,) float32 in [-1, 1]."""
    t = np.arange(_SAMPLE_RATE * _SECONDS) / _SAMPLE_RATE
    note = (t * 4).astype(int)
    pitch_hz = 220.0 * 2.0 ** (np.array([0, 4, 7, 12, 9, 7, 4, 2])[note % 8] / 12)
    beat = t * 4 - note
    envelope = 0.3 * np.exp(-3 * beat) * np.minimum(1, 40 * beat)
    return np.asarray(envelope * np.sin(2 * np.pi * pitch_hz * (t - note / 4)), np.float32)
