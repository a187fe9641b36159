"""Named directions in latent space."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from flowxfer.bundle import Bundle, Manifest, member
from flowxfer.directions import openai_latents
from flowxfer.errors import InputError, LatentsError, reason
from flowxfer.latents import LARGEST_ALPHA, Latents

ATTRIBUTES = "attributes.safetensors"
"""The file of a bundle that has attribute vectors."""

NAMES_KEY = "flowxfer.attributes"
DIGEST_KEY = "flowxfer.sha256"

__all__ = ["ATTRIBUTES", "Attributes"]


class Attributes(Mapping[str, Latents]):
    """Attribute vectors of one model by their names.

    A vector is the change of latents from faces without the attribute to faces with it. It is latents of one, so
    ``0.8 * attributes["Smiling"] - 0.3 * attributes["Male"]`` is a direction too, which
    :meth:`flowxfer.Transferer.manipulate` takes.

    Args:
        names: of the attributes, each once.
        directions: as many vectors.

    Raises:
        InputError: there are not as many names as vectors, or a name is empty, cannot be printed, or is there twice.
    """

    def __init__(self, names: Sequence[str], directions: Latents) -> None:
        count, usable = len(directions), all(name and name.isprintable() for name in names)
        if len(set(names)) != count or len(names) != count or not usable:
            raise InputError(f"expected {count} names that differ for as many vectors, got {list(names)!a}")
        # Without what computed them: a direction is no face, of which a pixel could be lost.
        self._directions = Latents(directions.levels, directions.model_hash)
        self._index = {name: index for index, name in enumerate(names)}

    @property
    def model_hash(self) -> str:
        """Identity of the model."""
        return self._directions.model_hash

    def __getitem__(self, name: str) -> Latents:
        """The vector of an attribute.

        Raises:
            KeyError: there is none of that name.
        """
        return self._directions[self._index[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"<Attributes of model {self.model_hash[:12]}: {', '.join(self)}>"

    def mixed(self, strengths: Mapping[str, float]) -> Latents:
        """The sum of several vectors, each times its strength, as latents of one; of none it is zero.

        Raises:
            InputError: there is no attribute of a name, or a strength is not finite.
        """
        weights = np.zeros(len(self))
        for name, strength in strengths.items():
            if name not in self:
                close = difflib.get_close_matches(name, self, n=1)
                some = reason(ValueError(", ".join(self)))
                others = f"there are {some}" if self else "there are none; `flowxfer attributes learn` makes some"
                hint = f"did you mean {close[0]}?" if close else others
                raise InputError(f"expected an attribute of the model, got {name!r}; {hint}")
            if not isinstance(strength, (int, float)) or not abs(strength) <= LARGEST_ALPHA:
                raise InputError(
                    f"expected a finite number for {name}, from -{LARGEST_ALPHA} to {LARGEST_ALPHA}, got {strength!r}"
                )
            weights[self._index[name]] = strength
        levels = [np.tensordot(weights, z, 1)[None] for z in self._directions.levels]
        return Latents(levels, self.model_hash)

    def only(self, names: Sequence[str]) -> Attributes:
        """Some of them, in this order.

        Raises:
            KeyError: there is none of a name.
        """
        chosen = [self._index[name] for name in names]
        return Attributes(names, Latents([z[chosen] for z in self._directions.levels], self.model_hash))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file of latents and names, whole or not at all."""
        save_named(self._directions, list(self), path, NAMES_KEY)

    @classmethod
    def load(cls, path: str | os.PathLike[str], manifest: Manifest) -> Attributes:
        """Read what :meth:`save` wrote.

        Args:
            path: of the file.
            manifest: of the model that they have to be of.

        Raises:
            LatentsError: the file is missing, damaged, of another model, or no attributes of flowxfer.
        """
        names, directions = load_named(path, manifest, NAMES_KEY, kind="attributes")
        try:
            return cls(names, directions)
        except InputError as error:
            raise LatentsError(
                f"expected attributes that flowxfer saved in {path}: {error}; learn them again"
            ) from error

    @classmethod
    def of(cls, bundle: Bundle) -> Attributes:
        """The attributes that come with a model, of which there may be none.

        They are not among the files that the manifest lists, for they are no part of what the model computes: whoever
        learns others does not change it, and its latents remain its own.

        Raises:
            BundleError: it is a link that leads out of the bundle, or no regular file.
            LatentsError: it is damaged or another model's.
        """
        manifest = bundle.manifest
        if path := beside(bundle, ATTRIBUTES):
            return cls.load(path, manifest)
        none = [np.empty((0, *shape), np.float32) for shape in manifest.latent_shapes]
        return cls((), Latents(none, manifest.model_hash))

    @classmethod
    def from_openai(cls, path: str | os.PathLike[str], manifest: Manifest) -> Attributes:
        """Read OpenAI's ``z_manipulate.npy``, or a file laid out as it is: a vector for each attribute of CelebA.

        Args:
            path: of the ``.npy`` file, shape (40, D), floating point.
            manifest: of the model that they are of, which the file does not say.

        Raises:
            LatentsError: the file cannot be read, or has other vectors than 40 of the model's eps.
        """
        levels = openai_latents.load(path, manifest.latent_shapes)
        if len(levels[0]) != len(openai_latents.CELEBA) or manifest.latents != "eps":
            raise LatentsError(
                f"expected vectors of eps for the {len(openai_latents.CELEBA)} attributes of CelebA in {path}, got"
                f" {len(levels[0])} and a model with {manifest.latents} latents; `flowxfer attributes learn`"
                " makes others"
            )
        return cls(openai_latents.CELEBA, Latents(levels, manifest.model_hash))


def beside(bundle: Bundle, name: str) -> Path | None:
    """A file that lies in a bundle without being listed in its manifest, or None.

    Raises:
        BundleError: it is a link that leads out of the bundle, or no regular file.
    """
    try:
        return member(bundle.path, name)
    except FileNotFoundError:
        return None


def save_named(latents: Latents, names: Sequence[str], path: str | os.PathLike[str], key: str) -> None:
    """Write a safetensors file of latents and names, whole or not at all."""
    latents.save(path, metadata={key: json.dumps(list(names)), DIGEST_KEY: latents.digest})


def load_named(path: str | os.PathLike[str], manifest: Manifest, key: str, *, kind: str) -> tuple[list[str], Latents]:
    """Read what :func:`save_named` wrote.

    Args:
        path: of the file.
        manifest: of the model that the latents have to be of.
        key: what the names are called in the file.
        kind: what the file has, for messages: ``"attributes"`` or ``"reader"``, as the command is called that makes it.

    Raises:
        LatentsError: the file is missing, damaged, of another model, or none of that kind.
    """
    latents = Latents.load(path)
    shapes = tuple(z.shape[1:] for z in latents.levels)
    if (latents.model_hash, shapes) != (manifest.model_hash, manifest.latent_shapes):
        raise LatentsError(
            f"expected {kind} of the model {manifest.name} in {path}, got those of another;"
            f" `flowxfer {kind} learn` makes them for this one"
        )
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        names = json.loads(metadata.get(key, "null"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("they are no list of names")
        if metadata.get(DIGEST_KEY) != latents.digest:
            raise ValueError("the vectors are not those that were saved")
        if not all(np.isfinite(z).all() for z in latents.levels):
            raise ValueError("a vector is not finite")
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise LatentsError(
            f"expected {kind} that flowxfer saved in {path}: {reason(error)}; learn them again"
        ) from error
    return names, latents
