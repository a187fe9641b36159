"""The models that flowxfer knows by name."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "MODELS", "PHOTOGRAPHS", "SAMPLER", "Model"]

DEFAULT = "synthetic-64"
PHOTOGRAPHS = "portrait-64"
"""The bundled model for photographs and films of people."""
SAMPLER = "synthetic-64-samples"
"""The bundled model to draw faces from: learning to transfer has cost the default one its likelihood."""


@dataclass(frozen=True)
class Model:
    """A model that flowxfer knows by name.

    Args:
        name: what to call it.
        about: one line on what it is.
        licence: under which its weights may be used.
        urls: where its published weights are, the first that answers is taken; none for a bundled model.
        sha256: of the published file; None where nobody vouched for one: then the first download's is remembered.
        attributes: where vectors for CelebA's attributes are published, likewise; none where there are none.
    """

    name: str
    about: str
    licence: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    attributes: tuple[str, ...] = ()


MODELS = {
    model.name: model
    for model in (
        Model(DEFAULT, "64 px, trained on synthetic people; part of flowxfer", "CC0-1.0"),
        Model(PHOTOGRAPHS, "64 px, trained on synthetic people and animated photographs; part of flowxfer", "CC0-1.0"),
        Model("portrait-128", "128 px, likewise: sharper and slower; part of flowxfer", "CC0-1.0"),
        Model(SAMPLER, "64 px, trained on their likelihood alone, to draw faces from; part of flowxfer", "CC0-1.0"),
        Model(
            "openai-celebahq-256",
            "256 px, OpenAI's published Glow, trained on CelebA-HQ; downloaded and converted on first use",
            "MIT for the code; OpenAI states none for the weights, CelebA-HQ is for research that is not commercial",
            # As openai/glow's demo/script.sh has it; then the storage account behind that address.
            urls=(
                "https://openaipublic.azureedge.net/glow-demo/large3/graph_unoptimized.pb",
                "https://openaipublic.blob.core.windows.net/glow-demo/large3/graph_unoptimized.pb",
            ),
            attributes=(
                "https://openaipublic.azureedge.net/glow-demo/z_manipulate.npy",
                "https://openaipublic.blob.core.windows.net/glow-demo/z_manipulate.npy",
            ),
        ),
    )
}
