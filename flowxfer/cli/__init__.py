"""The command line: ``flowxfer``, and ``python -m flowxfer``.

Commands import what they need when they run, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from flowxfer import __version__
from flowxfer.cli import (
    attributes,
    batch,
    bench,
    demo,
    evaluation,
    faces,
    latents,
    models,
    photo,
    provenance,
    reader,
    serve,
    video,
    web,
    workshop,
)
from flowxfer.cli.running import Commands

__all__ = ["app", "main"]

EXAMPLES: dict[Callable[..., None], str] = {
    demo.demo: "flowxfer demo",
    faces.transfer: "flowxfer transfer --target me.jpg --expression smile.png --neutral performer/ -o smiling.png",
    faces.sweep: "flowxfer sweep --target me.jpg --expression smile.png --neutral performer/ -o sweep/ --gif",
    faces.mix: "flowxfer mix me.jpg you.jpg --alpha 0.5 -o us.png",
    faces.sample: "flowxfer sample -n 16 --temperature 0.7 --seed 1 -o samples.png",
    attributes.manipulate: "flowxfer manipulate Smiling=0.8 Eyes_Closed=0.5 -t me.png -o changed.png",
    photo.align: "flowxfer align holiday.jpg -o faces/",
    photo.photo: "flowxfer photo holiday.jpg -e smile.png -n neutral.png --alpha 0.8 -o smiling.png",
    video.video: "flowxfer video film.mp4 -e smile.png -n neutral.png --alpha 0.8 -o smiling.mp4",
    batch.batch: "flowxfer batch films/ -e smile.png -n neutral.png -o smiling/ --engine ray --address auto",
    latents.mean: "flowxfer mean performer/ -o neutral.safetensors",
    latents.encode: "flowxfer encode me.jpg you.jpg -o faces.safetensors",
    latents.decode: "flowxfer decode faces.safetensors -o faces/",
    evaluation.paper: "flowxfer paper -o results",
    evaluation.report: "flowxfer report results",
    evaluation.fidelity: "flowxfer fidelity -o fidelity.csv",
    workshop.export: "flowxfer export graph_unoptimized.pb -o celebahq/ --latents eps",
    workshop.train: "flowxfer train faces64.toml --resume",
    web.app: "flowxfer app --port 7860",
    serve.serve: "flowxfer serve --port 8000",
    models.models: "flowxfer models",
    models.download: "flowxfer download openai-celebahq-256",
    models.info: "flowxfer info synthetic-64",
    models.doctor: "flowxfer doctor",
    bench.bench: "flowxfer bench --model synthetic-64 --threads 2 -o bench/",
}

app = typer.Typer(
    cls=Commands,
    help="Give a face the expression of another person, with OpenAI's Glow.",
    epilog="Example: flowxfer demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in "rich" a paragraph keeps the line breaks that its source has
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, example in EXAMPLES.items():
    app.command(epilog=f"Example: {example}")(command)
app.add_typer(attributes.commands, name="attributes")
app.add_typer(reader.commands, name="reader")
app.add_typer(provenance.commands, name="provenance")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flowxfer {__version__}")
        raise typer.Exit


@app.callback()
def _flowxfer(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Give a face the expression of another person, with OpenAI's Glow."""


def main() -> None:
    """Run the command line and leave the process with its exit status."""
    _spell_every_name()
    app(prog_name="flowxfer")


def _spell_every_name() -> None:
    """Let names that the output cannot spell appear with replacements: what was done is done, and its name there."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
