"""The jobs that the engine can do, from the bytes that came in to the bytes that go out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glaze_plugin.errors import BadInput
from glaze_plugin.figures import statement
from glaze_server.engine import (
    aim,
    choice,
    cloaking,
    device,
    encoders,
    fitting,
    formats,
    measure,
    painters,
    review,
    styles,
)
from glaze_server.engine.budget import Eye
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloaking import Cloak
from glaze_server.engine.device import Compute
from glaze_server.engine.fitting import LOSS, Fitted, Work
from glaze_server.engine.formats import Wanted
from glaze_server.engine.grain import FINE, Grain
from glaze_server.engine.jnd import EPSILON
from glaze_server.engine.page import Page
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import MIN_SIDE, rounded
from glaze_server.engine.progress import Reporter, Steps
from glaze_server.engine.settings import Settings
from glaze_server.engine.source import Input, Output, Source
from glaze_server.engine.survival import resize
from glaze_server.engine.thinning import GROWTH
from glaze_server.engine.transfer import transfer

SEARCH_SIDE = 512
"""px of the longer side at which the likely style of a cloak is searched for."""


@dataclass
class Result:
    parts: dict[str, Output] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


def abilities() -> dict[str, Any]:
    """What this machine can do, for the daemon's status."""
    try:
        words = str(device.choose())
    except BadInput as error:
        words = error.sentence
    return {"device": words}


@dataclass(frozen=True)
class Job:
    """What a task is given."""

    inputs: Mapping[str, Input]
    settings: Settings
    reporter: Reporter
    checkpoint: Checkpoint
    compute: Compute

    def source(self, name: str) -> Source:
        """The part of that name, decoded. Raises BadInput where it is missing or cannot be read."""
        if name not in self.inputs:
            raise BadInput("missing_part", f"The job lacks its {name}.")
        return Source.read(self.inputs[name])


def run(
    kind: str,
    inputs: Mapping[str, Input],
    settings: Mapping[str, Any],
    reporter: Reporter,
    checkpoint: Path | None = None,
) -> Result:
    """Do one job. Raises GlazeError with a sentence, or whatever `reporter` raises to cancel or pause.

    checkpoint: file where a long job saves its state, and takes it up when the same job is run again. Every report
    ends with `device`, what the job was computed on in the end, and `notes`, what it had to give up, in sentences.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads what it did not write, so empty memory need not be filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # full precision is meant as such: figures come from it
    compute = Compute(device.choose())
    job = Job(inputs, Settings.from_dict(settings), reporter, Checkpoint(checkpoint), compute)
    try:
        result = TASKS[kind](job)
    except (RuntimeError, MemoryError) as error:
        if device.out_of_memory(error):
            raise device.no_memory() from error
        raise
    result.report |= {"device": str(compute.device), "notes": compute.notes}
    return result


def _protect(job: Job) -> Result:
    """picture, mask (optional) → result, target and difference (when wanted)."""
    started = time.monotonic()
    settings, compute = job.settings, job.compute
    judges = [encoders.load(name) for name in encoders.chosen(settings.encoders, compute.device)]
    style, _ = aim.style_of(settings)
    painter = painters.choose(settings.painter, settings.quality == "preview", compute)
    source = job.source("picture")
    if source.file:
        formats.check_format(source.file, settings.format)
    todo = _pages(job, source)
    one = cloaking.steps(painter, settings)
    steps = Steps(job.reporter, (0 if style else aim.LOOKS) + one * len(todo))
    work = Work(settings, judges, painter, compute, steps, fitting.rehearse(settings, source, todo, steps))
    pages: list[Picture] = list(source.pages)
    found: list[Cloak] = []
    for later, (number, page) in zip(reversed(range(len(todo))), todo.items(), strict=True):
        checkpoint = job.checkpoint if len(todo) == 1 else job.checkpoint.beside(str(number))
        cloak = cloaking.cloak(work, source, number, page, one * later, checkpoint)
        work = replace(work, settings=replace(settings, style=cloak.aim.style))  # one for all pages
        pages[number] = cloak.fitted.picture
        found.append(cloak)
    worst = min(found, key=lambda cloak: sum(cloak.figures["targeted_shift"].values()))
    wanted = Wanted(max(cloak.fitted.level for cloak in found), settings.metadata, settings.no_mining)
    output = source.write(pages, settings.format, wanted)
    result = Result({"result": output} | {name: Output(data) for name, data in found[0].pictures.items()})
    _note(job, source, output, [cloak.fitted for cloak in found], work.grain)
    result.report = {
        "size": [source.pages[0].width, source.pages[0].height],
        "bytes": len(output.data),
        "growth": _growth(job, source, output),
        "pages": len(pages),
        "seconds": round(time.monotonic() - started, 2),
        "encoders": [judge.name for judge in judges],
        "style": found[0].aim.style,
        "chosen": found[0].aim.chosen,
        "painter": worst.aim.painter,
        "strength": settings.strength,
        "quality": settings.quality,
        "seed": settings.seed,
        "statement": statement(worst.figures),
        **worst.figures,
    }
    return result


def _growth(job: Job, source: Source, output: Output) -> float | None:
    """How many times as large the file became; None where it is not of its own format."""
    if source.file is None or not source.file.stays(job.settings.format):
        return None
    return round(len(output.data) / len(source.file.data), 3)


def _note(job: Job, source: Source, output: Output, found: list[Fitted], of: Grain) -> None:
    """Say what the file could not keep, and what its compression took."""
    notes, file = job.compute.notes, source.file
    if file is None:
        return
    changed = any(one.picture is not page for one, page in zip(found, source.pages, strict=False))
    wider = file.narrow and changed and bool(job.settings.strength)
    if wider:
        notes.append("A palette or less than 8 bits cannot hold a cloak, so the result has 8 bits a channel.")
    if len(found) < len(file.pages):
        notes.append(
            f"Of {len(file.pages)} pages, {len(file.pages) - len(found)} are of one colour and stay as they are."
        )
    finer, lost = max(one.level for one in found), max(one.lost for one in found)
    if finer:
        notes.append("The file's own compression would take too much of the cloak; a finer one was used.")
    if lost > LOSS:
        notes.append(f"The file's compression takes {lost:.0%} of the cloak; PNG or TIFF would keep it.")
    moved = max(one.moved for one in found)
    if moved > EPSILON:
        notes.append(
            f"Saving this lossy file again moves samples by up to {moved * 255:.0f} of 255, without any cloak."
        )
    if of is not FINE:
        notes.append("So that the file grows less, the cloak has a coarser grain, which takes some of its effect.")
    given_up = max(one.given_up for one in found)
    if round(given_up, 2):
        notes.append(
            f"So that the cloak does not make the file {GROWTH} times as large, {given_up:.0%} of its effect was"
            " given up; --any-size or another format keeps it."
        )
    growth = _growth(job, source, output)
    if growth is not None and growth > GROWTH:
        more = {"its 8 bits a channel": wider, "what it declares": job.settings.no_mining}
        besides = " and ".join(part for part, there in more.items() if there)
        included = f", {besides} included" if besides else ""
        notes.append(f"The file is {growth:.1f} times as large as before{included}.")


def _pages(job: Job, source: Source) -> dict[int, Page]:
    """Each page that can be cloaked. Raises BadInput where none can be."""
    mask = job.source("mask").pages[0] if "mask" in job.inputs else None
    pages: dict[int, Page] = {}
    refusals = []
    for number, picture in enumerate(source.pages):
        page = Page(picture, mask, job.settings.strength)
        try:
            page.check()
        except BadInput as refusal:
            if refusal.code != "nothing_to_protect":
                raise
            refusals.append(refusal)
        else:
            pages[number] = page
    if not pages:
        raise refusals[0]
    return pages


def _measure(job: Job) -> Result:
    """clean, cloaked, target (optional) → figures alone."""
    return Result(report=_compare(job, *_pair(job)))


def _review(job: Job) -> Result:
    """clean, cloaked, target (optional) → sheet: a PNG, or a page of HTML for the format "html"."""
    clean, cloaked = _pair(job)
    figures = _compare(job, clean, cloaked)
    make = review.page if job.settings.format == "html" else review.sheet
    return Result({"sheet": Output(make(clean.small, cloaked.small, figures))}, figures)


def _pair(job: Job) -> tuple[Page, Page]:
    clean, cloaked = (job.source(name).pages[0] for name in ("clean", "cloaked"))
    if clean.size != cloaked.size:
        raise BadInput("sizes_differ", f"The two pictures differ in size: {clean.size} and {cloaked.size}.")
    return Page(clean), Page(cloaked)


def _compare(job: Job, clean: Page, cloaked: Page) -> dict[str, Any]:
    """Figures of a pair; without a target or a style, for the embedded style towards which it moved most."""
    judges = [encoders.load(name) for name in encoders.chosen(job.settings.encoders, job.compute.device)]
    style = job.settings.style
    given = "target" in job.inputs
    searching = not given and style == "auto"
    painter = None if given else painters.choose(job.settings.painter, False, job.compute)
    looking = len(styles.STYLES) if searching else 0
    steps = Steps(job.reporter, looking + aim.strokes(painter) + measure.STEPS)
    steps.begin("measuring")
    by = "given"
    if given:
        page, style = Page(job.source("target").pages[0]), "given"
        if page.picture.size != clean.picture.size:
            raise BadInput("sizes_differ", "The target differs from the pictures in size.")
        target = page.small
    else:
        if searching:
            style = _likely_style(judges, clean.small, cloaked.small, steps.advance, job.compute)
        target, by = aim.paint(painter, clean.small, style, job.settings.seed, steps.advance, job.compute)
    steps.begin("measuring", measure.STEPS)
    eye = Eye(clean.excerpt(clean.seen), job.compute)
    trained = (rounded(clean.small), rounded(cloaked.small)) if clean.large else None
    figures = measure.report(judges, eye, clean.excerpt(cloaked.seen), target, steps.advance, job.compute, trained)
    names, said = [judge.name for judge in judges], statement(figures)
    return {"encoders": names, "style": style, "painter": by, "statement": said, **figures}


def _likely_style(
    judges: list[encoders.Encoder], clean: Tensor, cloaked: Tensor, tick: Callable[[], None], compute: Compute
) -> str:
    """The embedded style with the greatest targeted shift, judged at SEARCH_SIDE px, but no side below MIN_SIDE."""
    size = clean.shape[-2:]
    ratio = min(1.0, max(SEARCH_SIDE / max(size), MIN_SIDE / min(size)))
    small, other = (rounded(resize(picture, ratio)) for picture in (clean, cloaked))
    shifts = []
    for number in range(len(styles.STYLES)):
        target = transfer(small, number)
        shifts.append(sum(measure.targeted_shift(judge, small, target, other, compute=compute)[0] for judge in judges))
        tick()
    return styles.STYLES[shifts.index(max(shifts))]


def _learn(job: Job) -> Result:
    """picture → how far it is from each style."""
    page = Page(job.source("picture").pages[0])
    page.check()
    steps = Steps(job.reporter, len(styles.STYLES))
    steps.begin("choosing a style")
    far = choice.distances(page.small, steps.advance)
    return Result(report={"distances": dict(zip(styles.STYLES, far, strict=True))})


def _style(job: Job) -> Result:
    """What is kept of the artist, after a change if one is asked for. There are no parts."""
    if job.settings.change:
        aim.change(job.settings)
    return Result(report=aim.known())


TASKS = {"protect": _protect, "measure": _measure, "review": _review, "learn": _learn, "style": _style}
