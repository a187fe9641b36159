"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from flowxfer.bundle import Precision
from flowxfer.engines.protocol import EngineName

__all__ = [
    "BUNDLED",
    "PORTRAIT",
    "SAMPLER",
    "AllowHost",
    "Alpha",
    "Codec",
    "Compute",
    "Engine",
    "Expression",
    "Faces",
    "Force",
    "Neutral",
    "OpenAI",
    "Output",
    "Providers",
    "Quality",
    "Quantize",
]

Engine = Annotated[
    EngineName, typer.Option(help="What computes the model; torch needs the extra export, openvino its own.")
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", help="Execution provider, such as cpu or cuda, best first; may be repeated.", show_default="auto"
    ),
]


@dataclass(frozen=True)
class Compute:
    """A model and what computes it; see :class:`flowxfer.Transferer`."""

    PANEL: ClassVar = "Model"

    model: Annotated[
        str, typer.Option("--model", "-m", help="A model's name (see `flowxfer models`) or a bundle's folder.")
    ] = "synthetic-64"
    engine: Engine = "onnxruntime"
    precision: Annotated[
        Precision | None, typer.Option(help="An exact precision for torch to compute in.", show_default="the model's")
    ] = None
    provider: Providers = None
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads on the CPU.", show_default="one for each core")
    ] = None
    plain: Annotated[
        bool, typer.Option("--plain", help="Subtract the performer's pictures as the paper does; read no expression.")
    ] = False


BUNDLED, SAMPLER = Compute(), Compute(model="synthetic-64-samples")
PORTRAIT = Compute(model="portrait-64")
"""For photographs and films of people."""

Force = Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")]
Quantize = Annotated[bool, typer.Option("--quantize", help="Floor colours to the model's bits, as OpenAI's code does.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]
Faces = Annotated[list[str], typer.Argument(help="Pictures of aligned faces, folders of them, or patterns.")]
Expression = Annotated[Path, typer.Option("--expression", "-e", help="The performer with the expression.")]
Neutral = Annotated[
    list[str],
    typer.Option("--neutral", "-n", help="The performer without: pictures or folders (repeatable), averaged."),
]
Alpha = Annotated[str, typer.Option("--alpha", "-a", help="Strength: 0 is none, 1 is full; or one per level: .3,.4,.5")]
Codec = Annotated[
    str | None, typer.Option(help="Of films: h264, hevc, vp9, av1, ffv1, …", show_default="h264, vp9 for .webm")
]
Quality = Annotated[
    int | None, typer.Option(help="The codec's crf; lower is better, 0 lossless.", show_default="by codec")
]
OpenAI = Annotated[Path | None, typer.Option("--openai", help="The same in OpenAI's flattened .npy layout.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="A name that requests may be for, beside that of --host; behind a proxy its own. Repeatable.",
        show_default=False,
    ),
]
