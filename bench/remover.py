"""`python -m bench.remover`: train a network that takes cloaks off, and say how much of them it takes.

It learns from crops of the pictures that MiniMimic learned from, never from the artist's of a study. Crops and pairs
are kept; an interrupted run goes on. The file is for `bench.mimic --remover` and a study's order.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.cloakbench import home
from bench.mimic import WORK
from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError
from glaze_server.engine import device, encoders, measure, styles
from glaze_server.engine.device import Compute
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.pixels import rounded, to_8bit
from glaze_server.engine.settings import QUALITIES
from glaze_server.engine.statistics import Estimate, estimate
from glaze_server.engine.stock import DEFAULT
from glaze_server.engine.survival import unchanged
from glaze_server.engine.transfer import transfer
from glaze_server.mimicry import cleaner, remover
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.minimimic import autoencoder
from glaze_server.mimicry.minimimic.latents import SIDE, cut
from glaze_server.mimicry.pairs import Pairs, pairs

FILE = "remover.safetensors"
SEED = 0
HELD_OUT = 8
"""One pair of so many is held out. Each is of another picture."""
LEAST = 2 * HELD_OUT
"""Pairs without which there is nothing to learn from."""
PAIRING = 2 / 3
"""Share of the time in which pairs are made, at most; the rest is for training."""
PROBE, MOST_STEPS = 5, 20_000
"""Steps by which the time of one is known, and how many are worth while."""


def gathered(packages: Path, folder: Path, side: int) -> Tensor:
    """One crop of each picture in an order that is always the same, (N, 3, side, side) in 8 bits.

    packages: the folder where they are kept. folder: where the crops are.
    """
    file = folder / f"crops-{side}.safetensors"
    if not file.exists():
        dice = random.Random(SEED)
        found = [torch.from_numpy(to_8bit(crop)).permute(2, 0, 1) for _, (crop,) in cut(packages, 1, side, dice)]
        if not found:
            raise BadInput("no_pictures", "There are no pictures to learn from.")
        dice.shuffle(found)
        with places.whole(file) as beside:
            save_file({"crops": torch.stack(found)}, beside)
    return load_file(file)["crops"] / 255


def measured(network: torch.nn.Module, held: Pairs, judges: Sequence[Encoder], compute: Compute) -> list[str]:
    """Sentences on what is left of the cloaks of held-out pairs, and on what becomes of their clean pictures."""
    transforms = {
        "as it is": unchanged,
        "after AdverseCleaner": cleaner.cleaned,
        "after the remover": lambda picture: remover.cleaned(network, picture),
    }
    shifts: dict[str, dict[str, dict[str, list[float]]]] = {
        judge.name: {name: {} for name in transforms} for judge in judges
    }
    distances: dict[str, list[float]] = {}
    for number, style in enumerate(held.styles):
        clean, cloaked = held.clean[number : number + 1], held.cloaked[number : number + 1]
        target = rounded(transfer(clean, styles.index(style)))
        for judge in judges:
            (found,) = measure.shifts_after(transforms, judge, clean, target, [cloaked], compute)
            for name, value in found.items():
                shifts[judge.name][name][str(number)] = [value]
        distances[str(number)] = [Lpips(clean, "alex", compute=compute).distance(remover.cleaned(network, clean))]
    said = []
    for judge in judges:
        before = estimate(shifts[judge.name]["as it is"])
        for name, values in shifts[judge.name].items():
            after = estimate(values)
            said.append(f"{judge.name}: targeted shift {name} {_in_words(after)}, {after.mean / before.mean:.0%} of it")
    return [*said, f"LPIPS of clean pictures after the remover: {_in_words(estimate(distances))}"]


def _in_words(one: Estimate) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}] over {one.units}"


def _steps(learned: Pairs, where: str, seconds: float) -> int:
    """How many steps of training fit into that time, at least one."""

    def timed(steps: int) -> float:
        start = time.monotonic()
        remover.train(learned.clean, learned.cloaked, steps, SEED, where)
        return time.monotonic() - start

    timed(1)  # the first one warms up
    each = timed(PROBE) / PROBE
    return max(1, min(MOST_STEPS, int(seconds / each)))


def _trained(options: argparse.Namespace) -> None:
    start = time.monotonic()
    compute = Compute(device.choose())
    names = options.encoder or [autoencoder.NAME if autoencoder.Taef2.there() else DEFAULT[0]]
    judges = [encoders.load(name) for name in names]
    folder = options.work / "remover"
    pictures = gathered(options.work, folder, options.side)[: options.pairs]
    kept = Kept(folder / "pairs" / f"{'+'.join(names)}-{options.quality}-{options.side}")

    def more(made: int) -> bool:
        if made % 10 == 0:
            print(f"{made} pairs", flush=True)
        return made < LEAST or time.monotonic() - start < PAIRING * 60 * options.minutes

    made = pairs(pictures, judges, compute, lambda: None, kept, options.quality, more)
    count = len(made.styles)
    if count < LEAST:
        raise BadInput("few_pairs", f"A remover needs at least {LEAST} pairs to learn from; there are {count}.")
    learned = made.some([number for number in range(count) if number % HELD_OUT])
    where = compute.device.name
    left = 60 * options.minutes - (time.monotonic() - start)
    steps = options.steps or _steps(learned, where, left)
    print(f"{len(learned.styles)} pairs, {steps} steps", flush=True)
    network = remover.train(learned.clean, learned.cloaked, steps, SEED, where)
    file = options.out or folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    remover.save(file, network)
    network.to(where)
    for sentence in measured(network, made.some(range(0, count, HELD_OUT)), judges, compute):
        print(sentence)
    print(f"The remover is {file}.")


def main(arguments: list[str] | None = None) -> int:
    """Make pairs, train, measure. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.remover", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for pairs and training together")
    parser.add_argument("--encoder", nargs="*", help="encoders that the cloaks are computed against, all at once")
    parser.add_argument("--quality", choices=QUALITIES, default="standard", help="of the cloaks")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs at most")
    parser.add_argument("--side", type=int, default=SIDE, help="px of their pictures")
    parser.add_argument("--steps", type=int, help="of training (as many as there is time for)")
    parser.add_argument("--work", type=Path, default=WORK, help="where packages, crops and pairs are kept")
    parser.add_argument("--out", type=Path, help=f"the file (remover/{FILE} there)")
    options = parser.parse_args(arguments)
    home.use(options.work / "remover")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        _trained(options)
    except GlazeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
