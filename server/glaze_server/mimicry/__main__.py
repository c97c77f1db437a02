"""`python -m glaze_server.mimicry`: one study, told of in JSON lines. `glaze evaluate` runs it.

The order comes on standard input, as JSON: pictures (paths), others (artist → paths), out, generator, and of a Plan:
shares, seeds, samples, steps, style, ways, quick, counters, foreign (an arm cloaked against the embedded encoder),
remover (the file of a trained one, which is tried as a further countermeasure). Lines:
{"stage": …, "step": …, "steps": …}, {"report": …, "page": path, "verdict": […]}, and {"error": …}, which is the last.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from glaze_plugin.errors import BadInput, GlazeError, described
from glaze_plugin.raster import RasterFormat
from glaze_server.engine import device, encoders, painters
from glaze_server.engine.device import Compute
from glaze_server.engine.stock import DEFAULT
from glaze_server.mimicry import portfolio, remover, report, study, upscaling
from glaze_server.mimicry.arms import Plan
from glaze_server.mimicry.countermeasures import COUNTERMEASURES, UPSCALE
from glaze_server.mimicry.csd import Csd
from glaze_server.mimicry.generator import FineTuning, Generator
from glaze_server.mimicry.genres import Genres
from glaze_server.mimicry.kept import Kept
from glaze_server.mimicry.minimimic import weights
from glaze_server.mimicry.minimimic.model import MiniMimic
from glaze_server.mimicry.stable import Stable
from glaze_server.mimicry.study import Study

SAY_SECONDS = 0.2
"""s between two lines about progress."""
SPLIT_SEED = 0
QUICK_STEPS = 100


class _Lines:
    """A reporter that says lines."""

    def __init__(self) -> None:
        self._said = 0.0
        self._stage = ""

    def progress(self, stage: str, step: int, steps: int) -> None:
        if stage != self._stage or time.monotonic() - self._said >= SAY_SECONDS:
            self._stage, self._said = stage, time.monotonic()
            say({"stage": stage, "step": step, "steps": steps})

    def preview(self, layout: RasterFormat, pixels: bytes) -> None:
        """A study shows none."""


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def generator(name: str, where: device.Device) -> Generator:
    """That generator: a diffusion model of the artist's, one in a folder, or MiniMimic's file. Raises GlazeError."""
    if Path(name).name == weights.FILE:
        return MiniMimic(Path(name), where)
    known = painters.painters()
    folder = known[name].folder if name in known else Path(name)
    if not (folder / "model_index.json").exists():
        raise BadInput(
            "unknown_generator",
            f"There is no generator {name!r}.",
            "Name a folder in the layout of diffusers"
            + (f", or one of: {', '.join(known)}." if known else "; among your models there is none."),
        )
    return Stable(folder, where)


def plan(order: dict[str, Any], tuning: Mapping[str, FineTuning]) -> Plan:
    """A Plan of an order. Quick: few steps, two seeds, few pictures, a preview's cloak, and LoRA unless a way is named.

    tuning: the generator's. Raises BadInput for a way in which it does not fine-tune.
    """
    quick = bool(order.get("quick"))
    ways = order.get("ways") or (["lora"] if quick else list(tuning))
    for way in ways:
        if way not in tuning:
            raise BadInput("way", f"A mimic fine-tunes in the way {' or '.join(tuning)}, not {way!r}.")
    chosen = Plan(
        {way: tuning[way] for way in ways},
        counters=tuple(order.get("counters", ())),
        style=order.get("style", "auto"),
    )
    steps = order.get("steps")
    if quick:
        chosen = replace(chosen, shares=(100,), seeds=2, samples=10, quality="preview")
        steps = QUICK_STEPS if steps is None else steps
    if order.get("remover") and remover.REMOVER not in chosen.counters:
        chosen = replace(chosen, counters=(*chosen.counters, remover.REMOVER))
    if order.get("shares"):
        chosen = replace(chosen, shares=tuple(order["shares"]))
    for name in ("seeds", "samples"):
        if order.get(name) is not None:
            chosen = replace(chosen, **{name: order[name]})
    if steps is not None:
        chosen = replace(chosen, tuning={way: replace(how, steps=steps) for way, how in chosen.tuning.items()})
    return chosen


def evaluate(order: dict[str, Any]) -> None:
    """Run the study and say what it found."""
    compute = Compute(device.choose())
    made = generator(order["generator"], compute.device)
    wanted = plan(order, made.tuning)
    counters, learned = dict(COUNTERMEASURES), ""
    if order.get("remover"):
        file = Path(order["remover"])
        counters[remover.REMOVER] = remover.countermeasure(remover.load(file).to(compute.device.name))
        learned = hashlib.sha256(file.read_bytes()).hexdigest()
    wanted.check(list(counters))
    if UPSCALE in wanted.counters:
        upscaling.needed()
        compute.notes.append(f"Noisy upscaling was done by {upscaling.MODEL}, not by a diffusion model.")
    side = made.side
    reporter = _Lines()
    paths = [Path(path) for path in order["pictures"]]
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        reporter.progress("reading pictures", done, len(paths))

    own = portfolio.split(portfolio.read(paths, side, tick), SPLIT_SEED, [portfolio.work(path) for path in paths])
    wanted = replace(wanted, shares=portfolio.distinct(wanted.shares, len(own.training)))
    one = Study(
        generator=made,
        judges=[made.encoder],
        foreign=[encoders.load(DEFAULT[0])] if order.get("foreign") else (),
        portfolio=own,
        plan=wanted,
        kept=Kept(Path(order["out"])),
        reporter=reporter,
        compute=compute,
        others={
            name: portfolio.read([Path(path) for path in found], side, lambda: None)
            for name, found in order.get("others", {}).items()
        },
        countermeasures=counters,
        genres=study.known(Genres, compute.notes),
        csd=study.known(Csd, compute.notes),
        remover=learned,
    )
    found = report.write(one, one.run())
    say({"report": found, "page": str(one.kept.folder / "report.html"), "verdict": report.verdict(found)})


def main(order: str | None = None) -> int:
    """Do what the order says, by default that on standard input. Returns the exit code."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        try:
            evaluate(json.loads(sys.stdin.read() if order is None else order))
        except (RuntimeError, MemoryError) as error:
            if device.out_of_memory(error):
                raise device.no_memory() from error
            raise
    except GlazeError as error:
        say({"error": described(error)})
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
