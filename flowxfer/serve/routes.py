"""The routes: form fields and files in, the service's results out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Response, UploadFile

from flowxfer.errors import InputError
from flowxfer.images import Pixels, contact_sheets
from flowxfer.serve import answers
from flowxfer.serve.desk import Desk
from flowxfer.serve.problems import RESPONSES
from flowxfer.transferer import PAPER_ALPHAS
from flowxfer.types import Alpha

__all__ = ["router"]

_PICTURE = ("image/png", "image/jpeg")
_PICTURES = (*_PICTURE, "application/zip")
_LATENTS = ("application/octet-stream",)


def _gives(what: str, media_types: tuple[str, ...]) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "response_class": Response,
        "responses": {**RESPONSES, 200: {"description": what, "content": dict.fromkeys(media_types, binary)}},
    }


def _files(who: str) -> Any:
    kinds = "Pictures of aligned faces (PNG, JPEG, WebP, …), or one safetensors file of latents."
    return File(description=f"{who} {kinds}", min_length=1)


def _numbers(what: str, default: list[float]) -> Any:
    return Form(description=what, examples=[default], min_length=1, default_factory=default.copy)


Faces = Annotated[list[UploadFile], _files("Faces.")]
Targets = Annotated[list[UploadFile], _files("Who receives; several give several results.")]
Target = Annotated[list[UploadFile], _files("Who receives; one face.")]
Expression = Annotated[list[UploadFile], _files("The performer with the expression.")]
Neutral = Annotated[list[UploadFile], _files("The performer without; several are averaged in latent space.")]
Number = Annotated[float, Form(allow_inf_nan=False)]
Strength = Annotated[
    list[Number],
    _numbers(
        "Strength: 0 gives the target back, pixel by pixel, 1 transfers in full, the paper uses .3 to .5. Once, or "
        "once for each level, finest first.",
        [0.4],
    ),
]
Strengths = Annotated[list[Number], _numbers("Strengths, one for each result.", list(PAPER_ALPHAS))]
Share = Annotated[
    list[Number], _numbers("0 is the first face, 1 the second. Once, or once for each level, finest first.", [0.5])
]
Align = Annotated[
    bool,
    Form(description="Find the largest face in each picture and cut it out; needs the extra `faces` on the server."),
]
Format = Annotated[answers.Asked, Form(description="`auto` is JPEG where Accept names it and not PNG, or else PNG.")]
Accept = Annotated[str, Header(include_in_schema=False)]
AtDesk = Annotated[Desk, Depends()]

router = APIRouter(prefix="/v1")


@router.post("/encode", summary="Faces to latents", **_gives("Latents of all faces, as safetensors.", _LATENTS))
async def encode(desk: AtDesk, faces: Faces, align: Align = False) -> Response:
    """Map faces to latents; decoding them gives back every pixel."""
    (group,) = await desk.faces({"faces": faces}, align=align)
    (latents,) = await desk.service.encode(group)
    return answers.latents(latents)


@router.post("/mean", summary="Faces to their mean", **_gives("Latents of one face, as safetensors.", _LATENTS))
async def mean(desk: AtDesk, faces: Faces, align: Align = False) -> Response:
    """Average one person's latents: the neutral face of the paper, to be sent as `neutral` from then on."""
    (group,) = await desk.faces({"faces": faces}, align=align)
    return answers.latents(await desk.service.mean(group))


@router.post("/decode", summary="Latents to faces", **_gives("The face, or a ZIP of several.", _PICTURES))
async def decode(
    desk: AtDesk,
    latents: Annotated[UploadFile, File(description="A safetensors file, as /v1/encode and /v1/mean give it.")],
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Map latents back to faces."""
    faces = await desk.service.decode(await desk.latents("latents", latents))
    return await desk.pictures(faces, _numbers_of(faces), answers.negotiate(format, accept), desk.edited())


@router.post("/transfer", summary="An expression to faces", **_gives("The face, or a ZIP of several.", _PICTURES))
async def transfer(
    desk: AtDesk,
    target: Targets,
    expression: Expression,
    neutral: Neutral,
    alpha: Strength,
    align: Align = False,
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Give faces an expression that somebody else performs."""
    fields = {"target": target, "expression": expression, "neutral": neutral}
    receiving, performed, neutrals = await desk.faces(fields, align=align)
    faces = await desk.service.transfer(receiving, performed, neutrals, alpha)
    return await desk.pictures(faces, _numbers_of(faces), answers.negotiate(format, accept), desk.edited(_one(alpha)))


@router.post("/sweep", summary="An expression in many strengths", **_gives("A ZIP of faces, or a strip.", _PICTURES))
async def sweep(
    desk: AtDesk,
    target: Target,
    expression: Expression,
    neutral: Neutral,
    alpha: Strengths,
    strip: Annotated[bool, Form(description="All results side by side in one labelled picture.")] = False,
    align: Align = False,
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Give one face an expression in several strengths: a ZIP of `000_alpha_0.30.png` and so on, or one strip."""
    desk.check_count(len(alpha))
    fields = {"target": target, "expression": expression, "neutral": neutral}
    receiving, performed, neutrals = await desk.faces(fields, align=align)
    faces = await desk.service.sweep(receiving, performed, neutrals, alpha)
    chosen = answers.negotiate(format, accept)
    if strip:
        picture = contact_sheets.strip(faces, [f"alpha {value:g}" for value in alpha])
        return await desk.pictures([picture], ["strip"], chosen, desk.edited(*alpha))
    names = [f"{index:03}_alpha_{value:.2f}" for index, value in enumerate(alpha)]
    return await desk.pictures(faces, names, chosen, desk.edited(*alpha))


@router.post("/manipulate", summary="Attributes of faces", **_gives("The face, or a ZIP of several.", _PICTURES))
async def manipulate(
    desk: AtDesk,
    faces: Faces,
    attribute: Annotated[list[str], Form(description="Names, of those that `/v1/health` tells.", min_length=1)],
    strength: Annotated[list[Number], Form(description="One for each: 0 is unchanged, 1 the whole way.", min_length=1)],
    align: Align = False,
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Change attributes of faces, such as Smiling, along vectors in latent space."""
    if len(attribute) != len(strength) or len(set(attribute)) != len(attribute):
        counts = f"{len(attribute)} attributes and {len(strength)} strengths"
        raise InputError(f"expected each attribute once, and a strength for each, got {counts}")
    (group,) = await desk.faces({"faces": faces}, align=align)
    changed = await desk.service.manipulate(group, dict(zip(attribute, strength, strict=True)))
    return await desk.pictures(changed, _numbers_of(changed), answers.negotiate(format, accept), desk.edited(*strength))


@router.post("/mix", summary="From one face to another", **_gives("The face between.", _PICTURE))
async def mix(
    desk: AtDesk,
    first: Annotated[list[UploadFile], _files("The face at 0.")],
    second: Annotated[list[UploadFile], _files("The face at 1.")],
    alpha: Share,
    align: Align = False,
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Go from one face towards another in latent space."""
    here, there = await desk.faces({"first": first, "second": second}, align=align)
    faces = await desk.service.mix(here, there, alpha)
    return await desk.pictures(faces, ["mix"], answers.negotiate(format, accept), desk.edited(_one(alpha)))


@router.post("/sample", summary="Faces of nobody", **_gives("The face, or a ZIP of several.", _PICTURES))
async def sample(
    desk: AtDesk,
    n: Annotated[int, Form(ge=1, description="How many.")] = 1,
    temperature: Annotated[
        float, Form(ge=0, le=10, description="Factor on the standard normal eps; lower is safer and plainer.")
    ] = 0.7,
    seed: Annotated[int, Form(ge=0, lt=2**63, description="Another number gives other faces.")] = 0,
    format: Format = "auto",
    accept: Accept = "",
) -> Response:
    """Draw faces from the model."""
    desk.check_count(n)
    faces = await desk.service.sample(n, temperature, seed)
    mark = desk.marks.generated(desk.service.flow.manifest)
    return await desk.pictures(faces, _numbers_of(faces), answers.negotiate(format, accept), mark)


def _numbers_of(faces: Pixels) -> list[str]:
    return [f"{index:03}" for index in range(len(faces))]


def _one(alpha: list[float]) -> Alpha:
    """What was sent once is one number for all levels."""
    return alpha[0] if len(alpha) == 1 else alpha
