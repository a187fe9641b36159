"""Commands of ``python -m flowxfer.synth``.

dataset | animate | performances | evaluation | labelled | demo | film | distribution | sheet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from flowxfer.errors import FlowxferError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flowxfer.synth", description="Make synthetic people.")
    commands = parser.add_subparsers(dest="command", required=True)
    dataset = commands.add_parser("dataset", help="the paired training set")
    dataset.add_argument("--people", type=int, default=7200, help="in all (default %(default)s)")
    dataset.add_argument("--people-per-group", type=int, default=4, help="who share expressions (default %(default)s)")
    dataset.add_argument("--expressions", type=int, default=6, help="per group (default %(default)s)")
    dataset.add_argument("--seed", type=int, default=0)
    dataset.add_argument("--shard", type=int, default=200, help="groups per file (default %(default)s)")
    animated = commands.add_parser("animate", help="photographs that perform beside rendered people, to train on")
    animated.add_argument("folder", type=Path, help="aligned portraits, as flowxfer align cuts them")
    output = animated.add_mutually_exclusive_group(required=True)
    output.add_argument("-o", "--output", type=Path, help="a .npy; an .npz is written beside it")
    output.add_argument(
        "--sheet", type=Path, help="only show a dozen of them with every named expression: a picture file"
    )
    animated.add_argument("--size", type=int, help="pixels (default 128, of a sheet's pictures 256)")
    animated.add_argument("--groups", type=int, help="by default as many as show every photograph once")
    animated.add_argument("--seed", type=int, default=0, help="another one draws other photographs and expressions")
    animated.add_argument("--shard", type=int, default=50, help="groups per file (default %(default)s)")
    animated.add_argument("--photos-per-group", type=int, default=6, help="(default %(default)s)")
    animated.add_argument("--people-per-group", type=int, default=4, help="rendered (default %(default)s)")
    animated.add_argument("--expressions", type=int, default=6, help="per group (default %(default)s)")
    animated.add_argument("--landmarks", type=Path, help="where they are kept (default landmarks.npz in the folder)")
    performed = commands.add_parser("performances", help="what a reader of expressions is learned from")
    performed.add_argument("--people", type=int, default=2000, help="rendered, once each (default %(default)s)")
    performed.add_argument("--photographs", type=Path, help="a folder of aligned portraits, which perform too")
    performed.add_argument("--photos", type=int, default=2600, help="performances of these (default %(default)s)")
    performed.add_argument("--size", type=int, default=64, help="pixels (default %(default)s)")
    performed.add_argument("--seed", type=int, default=0)
    performed.add_argument("-o", "--output", type=Path, required=True, help="a .npz")
    evaluation = commands.add_parser("evaluation", help="held-out people with every named expression")
    evaluation.add_argument("--people", type=int, default=48, help="(default %(default)s)")
    for command in (dataset, evaluation):
        command.add_argument("--size", type=int, default=64, help="pixels (default %(default)s)")
        command.add_argument("--jitter", type=float, default=1.0, help="of camera and light (default %(default)s)")
        command.add_argument("-o", "--output", type=Path, required=True, help="a .npy; an .npz is written beside it")
    labelled = commands.add_parser("labelled", help="pictures with a list of attributes, as CelebA has one")
    labelled.add_argument("--people", type=int, default=1600, help="(default %(default)s)")
    labelled.add_argument("--size", type=int, default=64, help="pixels (default %(default)s)")
    labelled.add_argument("--seed", type=int, default=0)
    labelled.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    demo = commands.add_parser("demo", help="the bundled demo people and their true answers")
    demo.add_argument("-o", "--output", type=Path, default=Path("data/faces"), help="(default %(default)s)")
    sheet = commands.add_parser("sheet", help="a contact sheet: people down, expressions across")
    sheet.add_argument("--people", type=int, default=6, help="(default %(default)s)")
    sheet.add_argument("--start", type=int, default=0, help="first seed (default %(default)s)")
    sheet.add_argument("--size", type=int, default=128, help="pixels of a picture (default %(default)s)")
    sheet.add_argument("-o", "--output", type=Path, required=True, help="a picture file")
    film = commands.add_parser("film", help="four seconds of film with sound")
    film.add_argument("-o", "--output", type=Path, default=Path("data/film/person.mp4"), help="(default %(default)s)")
    distribution = commands.add_parser("distribution", help="count people by their attributes, as Markdown")
    distribution.add_argument("--people", type=int, default=1000, help="(default %(default)s)")
    distribution.add_argument("--start", type=int, default=1_000_000, help="first seed (default %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of flowxfer become one line on stderr and status 1."""
    options = _parser().parse_args(arguments)
    try:
        globals()["_" + options.command](options)
    except FlowxferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _report(done: int, total: int, rate: float) -> None:
    end = "\n" if done == total else "\r"
    print(f"{done}/{total} pictures, {rate:.0f} a second", end=end, flush=True)


def _dataset(options: argparse.Namespace) -> None:
    from flowxfer.synth.dataset import write_training

    write_training(
        options.output,
        groups=options.people // options.people_per_group,
        people=options.people_per_group,
        expressions=options.expressions,
        size=options.size,
        seed=options.seed,
        jitter=options.jitter,
        shard=options.shard,
        progress=_report,
    )


def _animate(options: argparse.Namespace) -> None:
    from flowxfer import images
    from flowxfer.synth.album import Album
    from flowxfer.synth.animated import animated_sheet, write_animated

    if options.sheet:
        images.check_writable_suffix(options.sheet)
    album = Album.read(options.folder, options.landmarks)
    if album.faceless:
        where = "it" if len(album.faceless) == 1 else "them"
        names = ", ".join(path.name for path in album.faceless)
        print(f"passed over, for no face was found in {where}: {names}", file=sys.stderr)
    if options.sheet:
        images.save(animated_sheet(album, size=options.size or 256, seed=options.seed), options.sheet)
        return
    write_animated(
        options.output,
        album,
        groups=options.groups,
        people=options.people_per_group,
        photographs=options.photos_per_group,
        expressions=options.expressions,
        size=options.size or 128,
        seed=options.seed,
        shard=options.shard,
        progress=_report,
    )


def _performances(options: argparse.Namespace) -> None:
    from flowxfer.synth.album import Album
    from flowxfer.synth.performances import write_performances

    write_performances(
        options.output,
        people=options.people,
        album=Album.read(options.photographs) if options.photographs else None,
        photographs=options.photos if options.photographs else 0,
        size=options.size,
        seed=options.seed,
        progress=_report,
    )


def _evaluation(options: argparse.Namespace) -> None:
    from flowxfer.synth.dataset import write_evaluation

    write_evaluation(options.output, people=options.people, size=options.size, jitter=options.jitter, progress=_report)


def _labelled(options: argparse.Namespace) -> None:
    from flowxfer.synth.labelled import write_labelled

    write_labelled(options.output, people=options.people, size=options.size, seed=options.seed, progress=_report)


def _demo(options: argparse.Namespace) -> None:
    from flowxfer.synth.demo import write_demo

    write_demo(options.output, progress=_report)


def _sheet(options: argparse.Namespace) -> None:
    from PIL import Image

    from flowxfer.synth.sheet import contact_sheet

    pictures = contact_sheet(range(options.start, options.start + options.people), size=options.size)
    Image.fromarray(pictures).save(options.output)


def _film(options: argparse.Namespace) -> None:
    from flowxfer.synth.film import write_film

    write_film(options.output, progress=_report)


def _distribution(options: argparse.Namespace) -> None:
    from flowxfer.synth.distribution import count_people, markdown_table
    from flowxfer.synth.people import Person

    print(markdown_table(count_people(Person.sample(options.start + i) for i in range(options.people))))


if __name__ == "__main__":
    sys.exit(main())
