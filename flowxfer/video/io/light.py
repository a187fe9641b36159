"""What HDR says beside its pictures: the display they were made on, and how bright they get."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["NO_LIGHT", "Light", "light_of"]


@dataclass(frozen=True)
class Light:
    """HDR10's static metadata, as SMPTE ST 2086 and CTA-861.3 have them.

    Attributes:
        display: x and y of the primaries red, green, blue and of white; the least and the largest luminance in cd/m².
        most: the brightest pixel of the film (MaxCLL), and the brightest picture on average (MaxFALL), in cd/m².
    """

    display: tuple[float, ...] | None = None
    most: tuple[int, int] | None = None

    def options(self, encoder: str) -> tuple[str, list[str]] | None:
        """Tell an encoder's option of options, and what it needs of it; None for one that writes none of this."""
        if encoder not in _NAMES:
            return None
        option, display, most, colour, luminance = _NAMES[encoder]
        parts = []
        if self.display is not None:
            red, green, blue, white = (self.display[i : i + 2] for i in range(0, 8, 2))
            places = {"G": green, "B": blue, "R": red, "WP": white}
            text = "".join(f"{name}({_scaled(x, colour)},{_scaled(y, colour)})" for name, (x, y) in places.items())
            least, largest = (_scaled(value, luminance) for value in self.display[8:])
            parts.append(f"{display}={text}L({largest},{least})")
        if self.most is not None:
            parts.append(f"{most}={self.most[0]},{self.most[1]}")
        return option, parts


NO_LIGHT = Light()

# The option of options, the names in it, and for one unit how many of the encoder's; 0 for decimals.
_NAMES = {
    "libx264": ("x264-params", "mastering-display", "cll", 50_000, 10_000),
    "libx265": ("x265-params", "master-display", "max-cll", 50_000, 10_000),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light", 0, 0),
}
_DISPLAY = struct.Struct("=20i2i")  # AVMasteringDisplayMetadata: rationals, and which of them count
_MOST = struct.Struct("=2I")  # AVContentLightMetadata


def light_of(picture: VideoFrame) -> Light:
    """Read what a picture says."""
    from av.sidedata.sidedata import Type

    said = picture.side_data
    display, most = said.get(Type.MASTERING_DISPLAY_METADATA), said.get(Type.CONTENT_LIGHT_LEVEL)  # type: ignore[call-overload]
    return Light(
        None if display is None else _display(bytes(display)),
        None if most is None else _MOST.unpack_from(bytes(most)),
    )


def _display(data: bytes) -> tuple[float, ...] | None:
    *numbers, has_primaries, has_luminance = _DISPLAY.unpack_from(data)
    if not (has_primaries and has_luminance and all(numbers[1::2])):
        return None
    return tuple(numerator / denominator for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True))


def _scaled(value: float, units: int) -> str:
    return str(round(value * units)) if units else f"{value:.4f}"
