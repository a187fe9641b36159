"""Films whose every frame, time and sound is known, made by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

PIECE = 1024  # samples of sound in a packet, more or less
SOUND_RATE = 48_000


def picture(index: int, height: int = 64, width: int = 96) -> np.ndarray:
    """A soft pattern through which a bright square moves by two pixels a frame, uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    wave = [np.sin(x / 11 + shade) * 50 + np.cos(y / 9 - 0.2 * index + shade) * 40 + 120 for shade in (0, 1.3, 2.9)]
    canvas = np.stack(wave, axis=2)
    left, top, side = 2 * index % max(1, width - 16), height // 3, min(height, width) // 4
    canvas[top : top + side, left : left + side] = (220, 200 - 2 * (index % 50), 40)
    return canvas.clip(0, 255).astype(np.uint8)


def make_film(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (64, 96),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 25,
    time_base: Fraction | None = None,
    ticks: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    colours: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    sounds: Sequence[str] = (),
    subtitles: str | None = None,
    tags: dict[str, str] | None = None,
    chapters: Sequence[tuple[int, int, str]] = (),
    delay: Fraction = Fraction(0),
    pictures: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write a film.

    Args:
        path: where, and by its suffix the container.
        frames: how many; their pictures are those of :func:`picture`.
        size: height and width.
        codec: the encoder.
        pixel_format: of the stored pictures.
        rate: frames per second.
        time_base: of the times, by default one over the rate.
        ticks: when each frame is shown; by default one after the other.
        options: the encoder's.
        colours: AVColorSpace, AVColorRange, AVColorPrimaries, AVColorTransferCharacteristic.
        aspect: of a pixel.
        rotation: the display matrix: degrees counterclockwise, mirrored, flipped.
        sounds: encoders of as many sound tracks, each with another tone and language.
        subtitles: a subtitle codec; there is a line a second.
        tags: metadata of the container.
        chapters: begin and end in seconds, and title.
        delay: seconds by which the sound starts later.
        pictures: in place of :func:`picture`'s, shape (height, width, 3), uint8.
    """
    rate = Fraction(rate)
    time_base = time_base or 1 / rate
    ticks = ticks if ticks is not None else [round(i / rate / time_base) for i in range(frames)]
    with av.open(str(path), "w") as film:
        video = film.add_stream(codec, rate=rate, options=options or {}, time_base=time_base)
        video.height, video.width, video.pix_fmt = *size, pixel_format
        if colours:
            context = video.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = colours
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(*rotation)
        film.metadata.update(tags or {})
        tracks = [_sound_track(film, each, ("eng", "deu", "fra")[i]) for i, each in enumerate(sounds)]
        text = film.add_mux_stream(subtitles, time_base=Fraction(1, 1000)) if subtitles else None
        if text:
            text.metadata["language"] = "eng"
        film.set_chapters(
            [
                {"id": i, "start": a * 1000, "end": b * 1000, "time_base": Fraction(1, 1000), "metadata": {"title": t}}
                for i, (a, b, t) in enumerate(chapters)
            ]
        )
        film.start_encoding()
        seconds = float((max(ticks, default=25) + 1) * time_base)
        for i, track in enumerate(tracks):
            _play(film, track, seconds, 220 * (i + 1), delay)
        if text:
            for second in range(int(seconds)):
                line = f"line {second}".encode()
                packet = av.Packet(len(line).to_bytes(2, "big") + line if subtitles == "mov_text" else line)
                packet.pts = packet.dts = second * 1000
                packet.duration, packet.time_base, packet.stream, packet.is_keyframe = (
                    900,
                    Fraction(1, 1000),
                    text,
                    True,
                )
                film.mux(packet)
        for i, tick in enumerate(ticks):
            pixels = pictures[i] if pictures is not None else picture(i, *size)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format=pixel_format,
                dst_colorspace=(colours or (5,))[0],
                dst_color_range=(colours or (0, 1))[1],
                threads=1,  # with more, a row between two threads' parts is now and then wrong
            )
            frame.pts, frame.time_base = tick, time_base
            film.mux(video.encode(frame))
        film.mux(video.encode())
    return path


def _sound_track(film, codec, language):
    track = film.add_stream(codec, rate=SOUND_RATE, layout="mono")
    track.metadata["language"] = language
    return track


def _play(film, track, seconds, pitch_hz, delay):
    t = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    tone = (0.3 * np.sin(2 * np.pi * pitch_hz * t)).astype(np.float32)
    kind = track.codec_context.format.name
    size = track.codec_context.frame_size or PIECE
    for begin in range(0, len(tone) - size + 1, size):
        piece = tone[None, begin : begin + size]
        samples = (piece * 32767).astype(np.int16) if kind.startswith("s16") else piece
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, begin + round(delay * SOUND_RATE)
        film.mux(track.encode(frame))
    film.mux(track.encode())


def stored_planes(path: Path) -> list[list[np.ndarray]]:
    """Decode a film by PyAV alone to its frames' planes, without the padding of their lines."""
    found = []
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            packed = frame.format.padded_bits_per_pixel // 8 if len(frame.planes) == 1 else 1
            found.append(
                [_lines(plane, frame.format.components[i].bits, packed) for i, plane in enumerate(frame.planes)]
            )
    return found


def _lines(plane, bits, packed):
    numbers = np.frombuffer(plane, np.uint8 if bits <= 8 else np.uint16).reshape(plane.height, -1)
    return numbers[:, : plane.width * packed].copy()


def times(path: Path) -> list[Fraction]:
    """When a film's frames are shown, in its container's seconds."""
    with av.open(str(path)) as film:
        return [frame.pts * frame.time_base for frame in film.decode(video=0)]


def packets(path: Path, kind: str, track: int = 0) -> list[tuple[Fraction, bytes]]:
    """The times and bytes of a track's packets; kind is video, audio or subtitle."""
    with av.open(str(path)) as film:
        stream = [stream for stream in film.streams if stream.type == kind][track]
        return [(p.pts * p.time_base, bytes(p)) for p in film.demux(stream) if p.pts is not None]
