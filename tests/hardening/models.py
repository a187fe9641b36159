"""Bundles, latents, and the weights that models are made from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import google_crc32c  # noqa: F401 - loaded before memory is bounded
import numpy as np
import torch

from flowxfer import Latents, Transferer
from flowxfer.bundle import COMBINE, DECODE, ENCODE, MANIFEST, WEIGHTS, sha256
from flowxfer.directions import Attributes, openai_latents
from flowxfer.export import export_bundle
from flowxfer.glow import save
from flowxfer.glow.importers import import_weights
from flowxfer.glow.training import TrainingConfig
from flowxfer.glow.training.trainer import Trainer
from tests import reference
from tests.glow.peers import chaiyujin_state, rosinality_state
from tests.glow.random_glow import random_glow
from tests.glow.tensorflow_files import folded, graph, table, write_checkpoint
from tests.hardening.law import Kind, file, tried
from tests.hardening.mutation import mutated, mutated_json

FACE = np.full((8, 8, 3), 90, np.uint8)


def bundle_in(folder: Path) -> Path:
    torch.manual_seed(0)
    model = random_glow(image_size=8, levels=2, depth=1, width=4).float()
    export_bundle(model, folder / "bundle", name="tiny", licence="none", origin="a test")
    return folder / "bundle"


def _run(bundle: Path) -> None:
    transferer = Transferer(bundle, threads=1)
    transferer.decode(transferer.encode(FACE))
    transferer.transfer(FACE, FACE, FACE)


def manifests(folder: Path) -> Callable:
    """Manifests whose values are hostile, with the hashes of the files, which anybody can compute."""
    bundle = bundle_in(folder)
    values = json.loads((bundle / MANIFEST).read_text())
    text = [(bundle / MANIFEST).read_bytes()]

    def attempt(random: Random) -> None:
        damaged = mutated(text, random) if random.random() < 0.3 else mutated_json(values, random)
        (bundle / MANIFEST).write_bytes(damaged)
        tried(_run, bundle)

    return attempt


def graphs(folder: Path) -> Callable:
    """Graphs and weights that are damaged, in a manifest that has their hashes."""
    bundle = bundle_in(folder)
    values = json.loads((bundle / MANIFEST).read_text())
    whole = {name: (bundle / name).read_bytes() for name in (ENCODE, DECODE, COMBINE, WEIGHTS)}

    def attempt(random: Random) -> None:
        name = random.choice(sorted(whole))
        (bundle / name).write_bytes(mutated([whole[name]], random))
        values["files"] |= {name: sha256(bundle / name)}
        (bundle / MANIFEST).write_text(json.dumps(values))
        tried(_run, bundle)
        (bundle / name).write_bytes(whole[name])
        values["files"] |= {name: sha256(bundle / name)}

    return attempt


def latents(folder: Path) -> Callable:
    """Latents, which a model then decodes."""
    transferer = Transferer(bundle_in(folder), threads=1)
    transferer.encode(FACE).save(folder / "z.safetensors")
    transferer.encode(np.stack([FACE, FACE])).save(folder / "two.safetensors")
    seeds = [(folder / "z.safetensors").read_bytes(), (folder / "two.safetensors").read_bytes()]

    def decode(path: Path) -> None:
        z = Latents.load(path)
        transferer.decode(z)
        (z + z * 0.5).mean()

    return file("z.safetensors", seeds, decode)(folder)


def attributes(folder: Path) -> Callable:
    """Attribute vectors, along which a model then moves a face."""
    transferer = Transferer(bundle_in(folder), threads=1)
    manifest, z = transferer.manifest, transferer.encode(np.stack([FACE, FACE]))
    Attributes(["Smiling", "Male"], Latents(z.levels, manifest.model_hash)).save(folder / "a.safetensors")

    def manipulate(path: Path) -> None:
        found = Attributes.load(path, manifest)
        transferer.manipulate(FACE, found.mixed(dict.fromkeys(found, 0.5)))

    return file("a.safetensors", [(folder / "a.safetensors").read_bytes()], manipulate)(folder)


def openai_vectors(folder: Path) -> Callable:
    """OpenAI's latents in .npy files."""
    out = io.BytesIO()
    np.save(out, np.zeros((4, 48), np.float32))
    return file("z.npy", [out.getvalue()], lambda path: openai_latents.load(path, [(6, 2, 2), (24, 1, 1)]))(folder)


def _import(path: Path) -> object:
    return import_weights(path, image_size=8, bits=5)


def tensorflow_checkpoints(folder: Path) -> Callable:
    """The index, with right checksums or wrong ones, and the data of TensorFlow's checkpoints."""
    prefix = write_checkpoint(folder / "model", reference.random_variables(2, 1, 3, "affine", seed=0))
    files = [prefix.with_name(prefix.name + suffix) for suffix in (".index", ".data-00000-of-00001")]
    whole = {path: path.read_bytes() for path in files}
    entry = b"\x08\x01\x12\x10\x12\x02\x08\x03\x12\x02\x08\x03\x12\x02\x08\x07\x12\x02\x08\x03\x28\xf4\x05\x35\0\0\0\0"

    def attempt(random: Random) -> None:
        damaged = random.choice(files)
        for path in files:
            path.write_bytes(mutated([whole[path]], random) if path == damaged else whole[path])
        if random.random() < 0.5:
            header = mutated([b"\x08\x01\x1a\x02\x08\x01"], random)
            files[0].write_bytes(table([(b"", header), (b"model/0/0/f1/l_1/W", mutated([entry], random))]))
        tried(_import, files[0])

    return attempt


def graph_defs(folder: Path) -> Callable:
    """TensorFlow's frozen graphs."""
    variables = reference.random_variables(2, 1, 3, "affine", seed=0)
    return file("graph.pb", [graph(variables), graph(folded(variables))], _import)(folder)


def state_dicts(folder: Path) -> Callable:
    """PyTorch's files of two ports, in the format of today and in the old one."""
    seeds = []
    for state in (
        rosinality_state(1, 1, 3, affine=True, lu=True),
        chaiyujin_state(1, 1, 3, affine=True, lu=True, learn_top=True),
    ):
        for zipped in (True, False):
            out = io.BytesIO()
            torch.save(state, out, _use_new_zipfile_serialization=zipped)
            seeds.append(out.getvalue())
    return file("state.pt", seeds, _import)(folder)


def weights(folder: Path) -> Callable:
    """flowxfer's own safetensors."""
    torch.manual_seed(0)
    save(random_glow(levels=1, depth=1, width=3).float(), folder / "w.safetensors")
    return file("w.safetensors", [(folder / "w.safetensors").read_bytes()], _import)(folder)


def training_checkpoints(folder: Path) -> Callable:
    """Checkpoints of training runs: damaged files, and sound files of hostile values."""
    from PIL import Image

    Image.fromarray(FACE).save(folder / "face.png")
    model = {"image_size": 8, "levels": 1, "depth": 1, "width": 4}
    config = TrainingConfig.from_dict({"output": str(folder), "faces": str(folder), "model": model, "batch": 2})
    trainer = Trainer(config)
    trainer.advance()
    trainer.save()
    path = trainer.checkpoint
    whole = path.read_bytes()
    fields = torch.load(path, weights_only=True)

    def attempt(random: Random) -> None:
        if random.random() < 0.5:
            path.write_bytes(mutated([whole], random))
        else:
            name = random.choice(sorted(fields))
            torch.save({**fields, name: random.choice(_VALUES)}, path)
        tried(trainer.restore)

    return attempt


_VALUES = (None, -1, 1e300, "", [], {}, {"model": {}}, {"a": torch.zeros(1)}, {"state": {}, "param_groups": []})


KINDS = {
    "manifests": Kind(1200, manifests),
    "graphs": Kind(250, graphs),
    "latents": Kind(1200, latents),
    "attributes": Kind(500, attributes),
    "openai-latents": Kind(800, openai_vectors),
    "tensorflow-checkpoints": Kind(900, tensorflow_checkpoints),
    "graph-defs": Kind(800, graph_defs),
    "state-dicts": Kind(800, state_dicts),
    "weights": Kind(800, weights),
    "training-checkpoints": Kind(400, training_checkpoints),
}
