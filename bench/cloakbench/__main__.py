"""`python -m bench.cloakbench`: this engine, its peers and controls in one run, into docs/results.md.

Pictures are downloaded from Debian's archive the first time, into .cache/cloakbench, where finished cells are kept
too: an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path

import torch

from bench.cloakbench import corpus, home, judges, machine, methods, purifiers
from bench.cloakbench.report import Facts, Report
from bench.cloakbench.rounds import Bench, run
from bench.cloakbench.summary import Summary
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import device, encoders, stock
from glaze_server.engine.pixels import MIN_SIDE

ROOT = Path(__file__).parents[2]
MOST_PICTURES = 12
MOST_TARGETS = 6
SIDES = (2 * MIN_SIDE, 1024)
"""px; larger pictures this engine cloaks at another size than their own."""
QUICK = {"pictures": 1, "targets": 1, "side": 128, "hours": 0.13, "methods": list(methods.QUICK)}


def _between(low: int, high: int) -> object:
    def whole(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"it must lie between {low} and {high}, not {value}")
        return value

    return whole


def _hours(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"it must be more than 0, not {text}")
    return value


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"it must be like 3/8, not {text}")
    return int(number), int(of)


class _OneSentence(argparse.ArgumentParser):
    """A parser that says what is wrong without repeating its whole usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{message[:1].upper()}{message[1:]}.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneSentence(prog="python -m bench.cloakbench", description=__doc__)
    add = parser.add_argument
    add("--pictures", type=_between(1, MOST_PICTURES), metavar="N", help="of each stratum, 1 to 12 (12)")  # type: ignore[arg-type]
    add("--targets", type=_between(1, MOST_TARGETS), metavar="N", help="styles for each picture, 1 to 6 (3)")  # type: ignore[arg-type]
    add("--side", type=_between(*SIDES), metavar="PX", help="longer side of the pictures (256)")  # type: ignore[arg-type]
    add("--methods", nargs="+", metavar="NAME", help=f"of {', '.join(methods.METHODS)} (all)")
    add("--encoder", metavar="NAME", help="the white box (taef2 where its weights are, else embedded)")
    add("--hours", type=_hours, metavar="H", help="stop after the cell in progress when they are over")
    add("--part", type=_part, metavar="I/N", help="only every N-th picture from the I-th: one of N processes at once")
    add("--quick", action="store_true", help="a small run of a few minutes: a picture of each stratum, one target")
    add("--out", type=Path, metavar="FOLDER", help="where results.md goes, and plots and JSON in results/ (docs)")
    add("--work", type=Path, metavar="FOLDER", default=ROOT / ".cache" / "cloakbench", help="downloads and cells")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and write its report. Returns the exit code; a wrong argument exits with 2."""
    began = time.monotonic()
    defaults = {"pictures": MOST_PICTURES, "targets": 3, "side": 256, "hours": None, "methods": list(methods.METHODS)}
    options = _parser().parse_args(arguments)
    for name, value in (defaults | QUICK if options.quick else defaults).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    out = options.out or ROOT / ("out" if options.quick else "docs")
    try:
        _bench(options, out, began)
    except BadInput as error:
        print(error.sentence, file=sys.stderr)
        return 2
    except GlazeError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


def _bench(options: argparse.Namespace, out: Path, began: float) -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    picked = methods.pick(options.methods)
    home.use(options.work)
    name = options.encoder or ("taef2" if "taef2" in stock.available() else stock.DEFAULT[0])
    encoder = encoders.load(name)
    skips: list[str] = []

    def skip(sentence: str) -> None:
        skips.append(sentence)
        print(sentence)

    wanted = corpus.chosen(options.pictures)
    corpus.fetch(wanted, options.work, skip)
    pictures = corpus.pictures(wanted, options.side, options.work, skip)
    place = device.choose()
    rate = machine.matmul_rate(place)
    number, of = options.part or (1, 1)
    part = f"{number}of{of}" if options.part else ""
    bench = Bench(encoder, judges.at_hand(), purifiers.at_hand(skip, options.quick), place, options.work, part)
    deadline = None if options.hours is None else began + 3600 * options.hours
    mine = pictures[number - 1 :: of]
    cells, complete = run(bench, mine, options.targets, picked, deadline, lambda line: print(line, flush=True))
    if part:
        print(f"Part {part} is done; a run without --part reports what all have found.")
        return
    found = Summary(cells)
    if not found.pairs:
        raise BadInput("no_time", "The time was too short for one picture with every method; nothing was written.")
    facts = Facts(
        date=datetime.date.today().isoformat(),
        machine=machine.in_words(place),
        commit=machine.commit(),
        encoder=name,
        side=options.side,
        matmul_rate=rate,
        complete=complete,
        skips=skips,
    )
    report = Report(found, facts)
    print(f"\n{report.brief()}")
    print(f"Written to {report.write(out)}.")


if __name__ == "__main__":
    sys.exit(main())
