"""The routes that tell how the service is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from flowxfer import __version__
from flowxfer.models import hub

__all__ = ["router"]

router = APIRouter(prefix="/v1")


class Served(BaseModel):
    """The model of this service."""

    name: str = Field(examples=["synthetic-64"])
    hash: str = Field(description="Identity of the model; latents carry it.")
    size: int = Field(description="Height and width of a face in pixels.", examples=[64])
    levels: int = Field(description="Levels of its latents, and so the most numbers that alpha may have.", examples=[4])
    latents: str = Field(description="`eps` or `raw`.", examples=["eps"])
    precision: str = Field(examples=["exact-fp32"])
    attributes: list[str] = Field(description="Those that `/v1/manipulate` changes.", examples=[["Smiling", "Male"]])
    licence: str = Field(examples=["CC0-1.0"])


class Queue(BaseModel):
    """How busy the service is."""

    requests: int = Field(description="Requests that are worked on or wait.")
    limit: int = Field(description="How many there may be; each beyond is answered with 503.")


class Health(BaseModel):
    """The service, its model and its queue."""

    status: str = Field(examples=["ok"])
    version: str = Field(description="Of flowxfer.", examples=[__version__])
    model: Served
    providers: list[str] = Field(
        description="What the model really runs on: execution providers, or another engine's device.",
        examples=[["CPUExecutionProvider"]],
    )
    queue: Queue


class Model(BaseModel):
    """A model that flowxfer knows on this machine."""

    name: str = Field(examples=["synthetic-64"])
    place: str = Field(description="`bundled`, `cached` or `to download`.", examples=["bundled"])
    about: str
    licence: str | None = Field(description="Null for a model that was converted here; its bundle tells.")
    served: bool = Field(description="Whether it is the one of this service.")


@router.get("/health", summary="Whether it works, and how much waits")
async def health(request: Request) -> Health:
    """Tell which model is served, on which providers, and how many requests are there."""
    state = request.app.state
    manifest = state.service.flow.manifest
    return Health(
        status="ok",
        version=__version__,
        model=Served(
            name=manifest.name,
            hash=manifest.model_hash,
            size=manifest.image_size,
            levels=len(manifest.latent_shapes),
            latents=manifest.latents,
            precision=manifest.precision,
            attributes=list(state.service.attributes),
            licence=manifest.licence,
        ),
        providers=list(state.service.flow.providers),
        queue=Queue(requests=state.requests, limit=state.limits.max_queue),
    )


@router.get("/models", summary="Which models there are")
def models(request: Request) -> list[Model]:
    """List the models that `flowxfer serve --model` takes on this machine."""
    served = request.app.state.service.flow.manifest.name
    found = []
    for name, place in hub.list_models().items():
        known = hub.MODELS.get(name)
        about, licence = (known.about, known.licence) if known else ("converted here", None)
        found.append(Model(name=name, place=place, about=about, licence=licence, served=name == served))
    return found
