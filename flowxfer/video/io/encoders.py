"""Which encoder writes a film, and how it is set."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.stream import VideoStream

from flowxfer.errors import VideoError
from flowxfer.video.io.stream_format import PROGRESSIVE, UPRIGHT, Look
from flowxfer.video.io.suffixes import MP4, WRITTEN

__all__ = ["Encoder", "choose_encoder"]

log = logging.getLogger(__name__)

_DEFAULT = {".webm": "libvpx-vp9"}
_COMMON = ("libx264", "libsvtav1", "libvpx-vp9")  # an FFmpeg without GPL has no x264
_OTHER_NAMES = {"h264": "libx264", "hevc": "libx265", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_DEEP = ("h264", "hevc", "av1", "ffv1")  # take colours of more than 8 bits
# Quality, the best and the worst, and what else is set. At one crf, x264's faster presets cost bytes, not quality.
_CRF = {
    "libx264": (18, 51, {"preset": "veryfast"}),
    "libx265": (20, 51, {"preset": "veryfast"}),
    "libvpx-vp9": (24, 63, {"deadline": "good", "cpu-used": "4", "row-mt": "1"}),
    "libsvtav1": (25, 63, {"preset": "9"}),
}
_LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "lossless=1:log-level=error"},
    "libvpx-vp9": {"lossless": "1"},
}
_QUIET = {"libx265": {"x265-params": "log-level=error"}}
_MATROSKA = (".mkv", ".webm")
_TELLS_ASPECT = (
    "libx264",
    "libx265",
    "ffv1",
    "mpeg4",
    "mpeg2video",
)  # in their headers; PyAV tells no Matroska
_EVEN = ("libx264", "libx265", "libsvtav1")  # take whole chroma samples only
_FIELDS = ("libx264", "mpeg2video", "prores_ks", "ffv1")  # keep them apart
_BT709, _LIMITED = 1, 1  # in AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic; AVColorRange
_GLOBAL_HEADER = 0x40  # AVFMT_GLOBALHEADER
_FFV1 = {"level": "3"}  # with checksums, and as many slices as fit


@dataclass(frozen=True)
class Encoder:
    """An encoder with all that it is set to; two that are equal write the same bytes.

    Attributes:
        name: FFmpeg's, such as ``"libx264"``.
        options: FFmpeg's.
        look: of the pictures that it takes; where it takes even sizes only, an odd one is a pixel larger.
        separate_header: the container keeps the codec's header outside of the packets.
    """

    name: str
    options: dict[str, str]
    look: Look
    separate_header: bool

    def open(self) -> VideoCodecContext:
        """Start a fresh encoder.

        Raises:
            VideoError: it refuses its settings.
        """
        # SVT-AV1 prints to stderr and has no other switch; 1 leaves its errors.
        os.environ.setdefault("SVT_LOG", "1")
        context = cast(VideoCodecContext, av.CodecContext.create(self.name, "w"))
        context.width, context.height = self.look.width, self.look.height
        context.options = dict(self.options)
        context.bit_rate = 0  # where it is set, some encoders prefer it to the quality
        if self.separate_header:
            context.flags |= Flags.global_header
        self._configure(context)
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(
                f"the encoder {self.name} refuses {self.look.width}x{self.look.height} pixels of "
                f"{self.look.pixel_format} with time base {self.look.time_base} ({error}); choose another codec"
            ) from error
        return context

    def add_stream(self, container: av.container.OutputContainer) -> VideoStream:
        """Give a container a stream for the packets of :meth:`open`."""
        stream = container.add_stream(
            self.name,
            rate=self.look.rate,
            options=dict(self.options),
            width=self.look.width,
            height=self.look.height,
            time_base=self.look.time_base,
        )
        assert isinstance(stream, VideoStream)
        self._configure(stream.codec_context)
        if self.look.turn.matrix:
            stream.set_display_matrix(self.look.turn.matrix)
        return stream

    def identity(self) -> dict[str, Any]:
        """Tell in JSON values what the bytes depend on."""
        look = {name: str(value) for name, value in asdict(self.look).items()}
        versions = {"pyav": av.__version__, "libavcodec": list(av.library_versions["libavcodec"])}
        return {"name": self.name, "options": self.options, "look": look, "versions": versions}

    def _configure(self, context: VideoCodecContext) -> None:
        look = self.look
        context.pix_fmt, context.time_base, context.framerate = look.pixel_format, look.time_base, look.rate
        context.sample_aspect_ratio = look.aspect or Fraction(0, 1)
        context.colorspace, context.color_range = look.matrix, look.range
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.field_order = look.fields
        if look.fields != PROGRESSIVE:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me


def choose_encoder(output: Path, look: Look, codec: str | None = None, quality: int | None = None) -> Encoder:
    """Choose the encoder for a film.

    Args:
        output: its name; the suffix is the container's.
        look: of the source.
        codec: ``"h264"``, ``"hevc"``, ``"vp9"``, ``"av1"``, ``"ffv1"`` or any encoder's name in FFmpeg; by default
            H.264, and VP9 for ``.webm``.
        quality: constant quality (crf) of H.264, HEVC, VP9 and AV1: lower is better, and 0 is lossless but for AV1. By
            default 18, 20, 24 and 25.

    Raises:
        VideoError: there is no such container or codec here, the one cannot hold the other, or the quality is out of
            its range.
    """
    suffix = output.suffix.lower()
    if suffix not in WRITTEN:
        raise VideoError(f"expected a film's name to end in {', '.join(WRITTEN)}, or a folder, got {output}")
    asked = codec or _DEFAULT.get(suffix) or _first_there(*_COMMON)
    name = _encoder_name(asked)
    formats = _pixel_formats(name, asked)
    with av.open(f"any{suffix}", "w") as container:  # nothing is written before the header is
        if name not in container.supported_codecs:
            raise VideoError(f"a {suffix} film cannot hold {asked}; .webm holds VP9 and AV1, .mp4 also H.264 and HEVC")
        separate = bool(container.format.flags & _GLOBAL_HEADER)
        held = container.supported_codecs
    if suffix in _MATROSKA and name not in _TELLS_ASPECT and look.is_squeezed:
        text = "pixels become square in a %s film of %s, the source's have an aspect of %s; .mp4 keeps it"
        log.warning(text, suffix, asked, look.aspect)
        look = look.shown
    options, stored = _options(name, asked, quality), _stored(_turned(look, suffix), name, formats)
    if (bits := _bits(stored.pixel_format)) < _bits(look.pixel_format):
        text = "colours lose bits in a %s film of %s, the source's have %d and %d are kept; %s"
        log.warning(text, suffix, asked, _bits(look.pixel_format), bits, _deeper(look.pixel_format, bits, held))
    if look.transparent and not _traits(stored.pixel_format).alpha:
        text = "what is transparent becomes opaque in a %s film of %s; ffv1 in .mkv and prores_ks in .mov keep it"
        log.warning(text, suffix, asked)
    if look.fields != stored.fields:
        text = "fields are stored as whole pictures in a %s film of %s, combed where something moves; h264 keeps them "
        log.warning(text + "apart, --deinterlace makes whole pictures of them", suffix, asked)
    return Encoder(name, _lit(options, stored, name), stored, separate)


def _lit(options: dict[str, str], look: Look, name: str) -> dict[str, str]:
    """Add to options what HDR says of its pictures, where the encoder writes it."""
    option, parts = look.light.options(name) or ("", [])
    if not parts:
        return options
    return options | {option: ":".join(filter(None, [options.get(option), *parts]))}


def _first_there(*encoders: str) -> str:
    """The first that this FFmpeg has, or the first of all, of which it is then said that it is missing."""
    return next((name for name in encoders if name in av.codecs_available), encoders[0])


def _encoder_name(codec: str) -> str:
    return _OTHER_NAMES.get(codec.lower(), codec.lower())


def _bits(pixel_format: str) -> int:
    return _traits(pixel_format).bits


def _deeper(pixel_format: str, bits: int, held: Collection[str]) -> str:
    """Say which codecs of a container keep more bits of a pixel format than so many."""
    more = [
        codec
        for codec in _DEEP
        if (name := _encoder_name(codec)) in held and _bits(_nearest(pixel_format, _pixel_formats(name, codec))) > bits
    ]
    return f"{' or '.join(more)} keeps more" if more else "ffv1 in .mkv keeps more"


def _pixel_formats(name: str, asked: str) -> list[str]:
    try:
        encoder = av.Codec(name, "w")
        formats = [kind.name for kind in encoder.video_formats or ()] if encoder.type == "video" else []
    except (av.FFmpegError, ValueError):
        formats = []
    if not formats:
        raise VideoError(f"expected a video codec such as h264, hevc, vp9, av1 or ffv1, got {asked!r}")
    if name in _CRF:  # their transparency is more than a packet
        formats = [each for each in formats if not _traits(each).alpha]
    return formats


def _turned(look: Look, suffix: str) -> Look:
    """Store pictures upright, by way of RGB, where nothing in the container can tell a player to turn them so."""
    if look.turn == UPRIGHT or suffix in MP4 or (suffix == ".mkv" and look.turn.is_rotation):
        return look
    (height, width), aspect = look.size, look.aspect and 1 / look.aspect if look.turn.transposed else look.aspect
    return replace(look, height=height, width=width, turn=UPRIGHT, aspect=aspect)


def _stored(look: Look, name: str, formats: list[str]) -> Look:
    """Adapt pixel format, colours and size to what the encoder takes."""
    was_rgb = _traits(look.pixel_format).rgb
    if name in _CRF and look.pixel_format not in formats:  # few players show their RGB
        formats = [each for each in formats if not _traits(each).rgb]
    look = replace(look, pixel_format=_nearest(look.pixel_format, formats))
    if was_rgb and not _traits(look.pixel_format).rgb:
        look = replace(look, matrix=_BT709, range=_LIMITED, primaries=_BT709, transfer=_BT709)
    if name not in _FIELDS:
        look = replace(look, fields=PROGRESSIVE)
    if name in _EVEN:
        kind = VideoFormat(look.pixel_format, 64, 64)
        down, across = 64 // kind.chroma_height(), 64 // kind.chroma_width()
        down *= 1 if look.fields == PROGRESSIVE else 2  # each field for itself
        look = replace(look, height=-(-look.height // down) * down, width=-(-look.width // across) * across)
    return look


def _options(name: str, asked: str, quality: int | None) -> dict[str, str]:
    if name not in _CRF:
        if quality is not None:
            raise VideoError(f"expected no quality for {asked}, which has none, got {quality}")
        return dict(_FFV1) if name == "ffv1" else {}
    default, worst, options = _CRF[name]
    crf = default if quality is None else quality
    if not 0 <= crf <= worst:
        raise VideoError(f"expected a quality from 0, the best, to {worst} for {asked}, got {quality}")
    if crf == 0 and name in _LOSSLESS:
        return options | _LOSSLESS[name]
    return options | {"crf": str(crf)} | _QUIET.get(name, {}) | (_repeatable() if name == "libx264" else {})


def _repeatable() -> dict[str, str]:
    """Keep x264 from AVX-512, whose macroblock tree reads past its rows unless these are whole eights of blocks.

    What is there is arbitrary, and so then are the bytes of the film: 8 to 11 different films in 16 runs at widths of
    176 to 240 pixels, one film in 16 without AVX-512.
    """
    try:
        has_it = " avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        has_it = False
    return {"x264-params": "asm=avx2,fma3,bmi2"} if has_it else {}


def _nearest(wanted: str, formats: list[str]) -> str:
    """Choose the encoder's pixel format that keeps most: the same one, or the nearest that loses least."""
    if wanted in formats:
        return wanted
    full = wanted.replace("yuvj", "yuv")  # the same planes; their range is told apart from them
    if full in formats:
        return full
    goal = _traits(wanted)
    if goal.rgb and not any(_traits(each).rgb for each in formats):
        return "yuv420p" if "yuv420p" in formats else formats[0]  # what every player shows
    plain = [each for each in formats if not each.startswith("yuvj")]
    return min(plain, key=lambda each: _traits(each).loss(goal))


@dataclass(frozen=True)
class _Traits:
    rgb: bool
    grey: bool
    alpha: bool
    bits: int
    samples: int  # of chroma in 64 x 64 pixels

    def loss(self, goal: _Traits) -> tuple[bool, bool, int, int, bool, int, int]:
        """Tell what pictures of the goal's traits lose in these, the worst first, and then what is stored in vain."""
        return (
            self.rgb != goal.rgb,
            self.grey and not goal.grey,
            max(0, goal.bits - self.bits),
            max(0, goal.samples - self.samples),
            goal.alpha and not self.alpha,
            self.bits - goal.bits,
            self.samples - goal.samples + self.alpha,
        )


def _traits(name: str) -> _Traits:
    kind = VideoFormat(name, 64, 64)
    chroma = [part for part in kind.components if part.is_chroma]
    return _Traits(
        rgb=kind.is_rgb or kind.has_palette,
        grey=not kind.is_rgb and not kind.has_palette and not chroma,
        alpha=any(part.is_alpha for part in kind.components),
        bits=max(part.bits for part in kind.components),
        samples=chroma[0].width * chroma[0].height if chroma else 0,
    )
