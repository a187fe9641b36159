"""What the app computes, without the page: choices in, files of marked results out."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from flowxfer import images
from flowxfer.app import faces
from flowxfer.app.faces import Picture
from flowxfer.directions import Attributes
from flowxfer.errors import InputError
from flowxfer.faces import paste_blend
from flowxfer.images import Pixels, contact_sheets
from flowxfer.latents import Latents
from flowxfer.models import hub
from flowxfer.provenance import Mark, Marks
from flowxfer.transferer import Transferer
from flowxfer.types import Alpha

if TYPE_CHECKING:
    from flowxfer.video import Options, Progress, Report

__all__ = ["SHOWN_PX", "Choice", "Result", "Studio"]

SHOWN_PX = 384
"""Faces are enlarged to at least this on the page, by a whole factor and with Lanczos."""

_KEPT = 256  # results on disk


@dataclass(frozen=True, eq=False)
class Choice:
    """A face that was chosen, encoded once: a slider's move is then one decode.

    Attributes:
        picture: the face; of several, the one that their mean decodes to.
        latents: of one face; of several, their mean.
    """

    picture: Picture
    latents: Latents


@dataclass(frozen=True)
class Result:
    """Files of one result.

    Attributes:
        shown: the face, enlarged, as JPEG, which is encoded in a tenth of PNG's time.
        face: the face in the model's size.
        latents: its latents, a safetensors file.
    """

    shown: Path
    face: Path
    latents: Path


class Studio:
    """One model and the people that come with it; safe to share between sessions.

    Args:
        flow: the model.
        folder: where results are written.
        marks: makes what they say of how they were made; by default that they are synthetic.
        attributes: the vectors that faces are moved along; by default those that come with the model.
    """

    def __init__(
        self, flow: Transferer, folder: Path, *, marks: Marks | None = None, attributes: Attributes | None = None
    ) -> None:
        self.flow, self.attributes = flow, flow.attributes if attributes is None else attributes
        self._folder, self._marks = folder, marks or Marks()
        self._written: deque[Path] = deque()
        self._lock = threading.Lock()
        self.demo_film = faces.demo_film()
        self.demo = {
            role: [self.choice([picture]) for picture in pictures] for role, pictures in faces.demo(flow.size).items()
        }

    @property
    def levels(self) -> int:
        """Levels of the model's latents, finest first."""
        return len(self.flow.manifest.latent_shapes)

    def choice(self, pictures: Sequence[Picture]) -> Choice:
        """Encode one face, or several to their mean."""
        latents = self.flow.encode([picture.face for picture in pictures])
        if len(pictures) == 1:
            return Choice(pictures[0], latents)
        mean = self.flow.mean(latents)
        return Choice(Picture(f"mean of {len(pictures)}", self.flow.decode(mean)[0]), mean)

    def upload(self, paths: Sequence[str]) -> Choice:
        """Read uploaded pictures and encode them; several are averaged.

        Raises:
            ImageError: one cannot be read, or has no face.
        """
        return self.choice([faces.kept(faces.read(Path(path), self.flow.size), self._folder) for path in paths])

    def transfer(self, target: Choice, expression: Choice, neutral: Choice, alpha: Alpha) -> Result:
        """Give the target the expression."""
        direction = self.flow.direction(expression.latents, neutral.latents)
        face = self.flow.transfer(target.latents, expression.latents, neutral.latents, alpha)[0]
        return self._result(face, target.latents + direction * alpha, self._edited(alpha))

    def mix(self, first: Choice, second: Choice, alpha: float) -> Result:
        """Go from one face towards another."""
        face = self.flow.mix(first.latents, second.latents, alpha)[0]
        return self._result(face, first.latents + alpha * (second.latents - first.latents), self._edited(alpha))

    def manipulate(self, face: Choice, strengths: Mapping[str, float]) -> Result:
        """Change a face's attributes.

        Raises:
            InputError: there is no such attribute.
        """
        changed = face.latents + self.attributes.mixed(strengths)
        return self._result(self.flow.decode(changed)[0], changed, self._edited(*filter(None, strengths.values())))

    def sweep(
        self, target: Choice, expression: Choice, neutral: Choice, first: float, last: float, count: int
    ) -> tuple[Path, Path]:
        """The transfer in several strengths: a labelled strip, and an animation that runs there and back.

        Raises:
            InputError: there are fewer than two, or the two ends are the same.
        """
        if count < 2 or first == last:
            raise InputError(
                f"expected at least 2 pictures from one alpha to another, got {count} from {first} to {last}"
            )
        alphas = [round(float(alpha), 4) for alpha in np.linspace(first, last, count)]
        pixels = self.flow.sweep(target.latents, expression.latents, neutral.latents, alphas)
        folder, mark = self._new_folder(), self._edited(*alphas)
        strip, animation = folder / "strip.png", folder / "sweep.gif"
        images.save(contact_sheets.strip(pixels, [f"alpha {alpha:g}" for alpha in alphas]), strip, mark)
        contact_sheets.gif(pixels, animation, mark)
        return strip, animation

    def film(
        self,
        source: str,
        expression: Choice,
        neutral: Choice,
        alpha: float,
        progress: Callable[[Progress], None],
    ) -> Report:
        """Give somebody in a film the expression.

        Raises:
            VideoError: the film cannot be read.
            MissingExtraError: PyAV is not installed.
        """
        from flowxfer import video

        output, options = self._new_film(progress)
        return video.edit(
            source, output, expression.latents, neutral.latents, alpha=alpha, transferer=self.flow, options=options
        )

    def drive(self, driver: str, target: Choice | str, alpha: float, progress: Callable[[Progress], None]) -> Report:
        """Give somebody in a picture or in a film all that somebody shows in another film.

        Args:
            driver: the performer's film.
            target: who receives: a face, which becomes a film, or a film.
            alpha: the strength.
            progress: is told after each frame.

        Raises:
            InputError: there is no face in the driver, or none in the picture.
            VideoError: a film cannot be read.
            MissingExtraError: PyAV or dlib is not installed.
        """
        from flowxfer import video

        receives: Any = target
        if isinstance(target, Choice):
            picture = target.picture
            receives = enlarged(picture.face) if picture.photo is None else picture.photo
        else:
            with video.open_source(target):
                pass  # what is no film is said now, and not after the driver has been studied
        output, options = self._new_film(progress)
        return video.drive(driver, receives, output, alpha=alpha, transferer=self.flow, options=options)

    def sample(self, count: int, temperature: float, seed: int) -> Path:
        """Draw faces of nobody, on one sheet."""
        path = self._new_folder() / f"faces_{seed}.png"
        flow = self._sampler
        drawn = flow.sample(count, temperature=temperature, seed=seed)
        images.save(contact_sheets.sheet(drawn), path, self._marks.generated(flow.manifest))
        return path

    @cached_property
    def _sampler(self) -> Transferer:
        """What draws faces: the model itself, or beside the default one its sibling that learned to."""
        return Transferer(hub.SAMPLER) if self.flow.manifest.name in (hub.DEFAULT, hub.PHOTOGRAPHS) else self.flow

    def photograph(self, target: Choice, expression: Choice, neutral: Choice, alpha: Alpha) -> Path:
        """The transfer, back in the photograph that the target was cut out of, whose EXIF, XMP and profile it keeps.

        Raises:
            InputError: the target is an aligned face, which belongs to no photograph.
        """
        picture = target.picture
        if picture.photo is None or picture.aligned is None:
            raise InputError("expected a target from a photograph, got an aligned face; upload a whole photograph")
        face = self.flow.transfer(target.latents, expression.latents, neutral.latents, alpha)[0]
        path = self._new_folder() / "photograph.png"
        changed = paste_blend(picture.photo, picture.aligned, face)
        images.save(changed, path, self._edited(alpha), original=picture.file)
        return path

    def _new_film(self, progress: Callable[[Progress], None]) -> tuple[Path, Options]:
        from flowxfer import video

        return self._new_folder() / "film.mp4", video.Options(mark=self._edited(), progress=progress)

    def _edited(self, *alphas: Alpha) -> Mark | None:
        return self._marks.edited(self.flow.manifest, *alphas)

    def _result(self, face: Pixels, latents: Latents, mark: Mark | None) -> Result:
        folder = self._new_folder()
        result = Result(folder / "shown.jpg", folder / "face.png", folder / "latents.safetensors")
        images.save(enlarged(face), result.shown, mark)
        images.save(face, result.face, mark)
        latents.save(result.latents)
        return result

    def _new_folder(self) -> Path:
        """A folder for one result; the oldest goes, for the page has copies of those it shows."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with self._lock:
            self._written.append(folder)
            if len(self._written) > _KEPT:
                shutil.rmtree(self._written.popleft(), ignore_errors=True)
        return folder


def enlarged(face: Pixels) -> Image.Image:
    """A face for the page: at least :data:`SHOWN_PX` pixels wide."""
    factor = math.ceil(SHOWN_PX / face.shape[1])
    image = Image.fromarray(face)
    if factor == 1:
        return image
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)
