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
from glaze_plugin.raster import RasterFormat
from glaze_server.engine import aim, choice, device, encoders, formats, jnd, measure, painters, pixels, review, styles
from glaze_server.engine.aim import Aim
from glaze_server.engine.budget import FIT_STEPS, Budget, Eye, fit
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import Compute
from glaze_server.engine.formats import Wanted
from glaze_server.engine.formats.file import check_memory
from glaze_server.engine.painters import Painter
from glaze_server.engine.picture import Picture
from glaze_server.engine.pixels import over, rounded
from glaze_server.engine.progress import Reporter, Steps
from glaze_server.engine.settings import QUALITIES, Settings
from glaze_server.engine.source import Input, Output, Source, mirrored, only_within, seen, within
from glaze_server.engine.survival import resize
from glaze_server.engine.transfer import transfer

PREVIEW_SIDE = 512
"""px of a preview's longer side."""
FLAT_RANGE = 2 / 255
"""A picture whose samples differ by no more has no style to protect."""


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
    rooms = _rooms(job, source)
    one = aim.strokes(painter) + QUALITIES[settings.quality].iterations + FIT_STEPS + measure.STEPS
    steps = Steps(job.reporter, (0 if style else aim.LOOKS) + one * len(rooms))
    pages: list[Picture] = list(source.pages)
    found: list[Cloak] = []
    for done, (number, room) in enumerate(rooms.items()):
        checkpoint = job.checkpoint if len(rooms) == 1 else job.checkpoint.beside(str(number))
        if found:  # all pages are drawn towards one style
            job = replace(job, settings=replace(settings, style=found[0].aim.style))
        cloak = _cloak(job, source, number, room, judges, painter, steps, one * (len(rooms) - 1 - done), checkpoint)
        pages[number] = cloak.picture
        found.append(cloak)
    worst = min(found, key=lambda cloak: sum(cloak.figures["targeted_shift"].values()))
    wanted = Wanted(max(cloak.level for cloak in found), settings.metadata, settings.no_mining)
    output = source.write(pages, settings.format, wanted)
    result = Result({"result": output})
    if settings.want_target:
        result.parts["target"] = Output(pixels.png(within(found[0].aim.target, found[0].picture)))
    if settings.want_review:
        result.parts["difference"] = Output(pixels.png(found[0].difference))
    _note(job, source, output, found)
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


@dataclass(frozen=True)
class Cloak:
    """One cloaked page. level, lost: how fine its compression must be, and the share of the shift that it takes."""

    picture: Picture
    figures: dict[str, Any]
    aim: Aim
    difference: Tensor
    level: int
    lost: float


def _cloak(
    job: Job,
    source: Source,
    number: int,
    room: Tensor,
    judges: list[encoders.Encoder],
    painter: Painter | None,
    steps: Steps,
    later: int,
    checkpoint: Checkpoint,
) -> Cloak:
    """Cloak one page. room: (1, 1, H, W) of the mirrored page. later: steps of the pages that follow."""
    settings, compute = job.settings, job.compute
    quality, picture = QUALITIES[settings.quality], source.pages[number]
    opacity = pixels.alpha(picture)
    colour, opacity = mirrored(pixels.colour(picture)), None if opacity is None else mirrored(opacity)

    clean = over(colour, opacity)
    aimed = aim.settle(settings, painter, clean, steps, compute, checkpoint.beside("target"))
    target = aimed.target

    steps.begin("cloaking", quality.iterations + FIT_STEPS + measure.STEPS + later)
    subject = Subject(colour, opacity, target, room)

    def step(delta: Tensor) -> None:
        steps.advance()
        if steps.preview_due():
            steps.preview(*_preview(within(subject.seen(delta), picture)))

    budget = Budget().scaled(settings.strength)
    delta = torch.zeros_like(colour)
    if settings.strength:
        delta = optimise(subject, judges, quality, budget, settings.seed, step, checkpoint, compute)

    steps.begin("fitting to the eye", FIT_STEPS + measure.STEPS + later)
    eye = Eye(clean, compute)
    level = _level(job, source, number, delta, eye, target, judges) if settings.strength else 0

    def stored(candidate: Tensor) -> Picture:
        changed = pixels.add(picture, within(candidate, picture))
        return source.stored(number, changed, settings.format, level)[0]

    lossy = source.file is not None and formats.lossy(source.file, settings.format)
    fitted = fit(delta, lambda candidate: rounded(seen(stored(candidate))), eye, budget, steps.advance, spare=lossy)
    cloaked = rounded(seen(stored(fitted)))
    if settings.strength and torch.equal(cloaked, eye.reference):
        raise BadInput(
            "no_room",
            "No cloak fits into this picture within the visual budget.",
            "Raise the strength, or write PNG or TIFF, which add no noise of their own.",
        )
    changed = pixels.add(picture, within(fitted, picture))
    lost = 0.0
    if settings.strength and lossy:
        ideal, real = _shifts(job, eye, target, judges, rounded(seen(changed)), cloaked)
        lost = max(0.0, 1 - real / ideal) if ideal > 0 else 0.0

    steps.begin("measuring", measure.STEPS + later)
    figures = measure.report(judges, eye, cloaked, target, steps.advance, compute)
    difference = clean
    if settings.want_review:
        difference = review.difference(within(eye.reference, picture), within(cloaked, picture))
        figures["at_opacity"] = measure.at_opacities(judges, eye, cloaked, target, compute)
    return Cloak(changed, figures, aimed, difference, level, lost)


BYTES_PER_PIXEL = 200
"""The least that a cloak takes: picture, target, δ, velocity, gradient and what comes of them (bench/tiles.py)."""
LOSS = 0.1
"""The share of the targeted shift that a file's own compression may take."""
GROWTH = 1.6
"""Times as large as it was: what a file may become to lose less."""


def _level(
    job: Job, source: Source, number: int, delta: Tensor, eye: Eye, target: Tensor, judges: list[encoders.Encoder]
) -> int:
    """How fine a lossy file's compression must be to keep the cloak: its own, unless that takes more than LOSS."""
    if source.file is None or formats.levels(source.file, job.settings.format) == 1:
        return 0
    picture = source.pages[number]
    changed = pixels.add(picture, within(delta, picture))
    best = 0
    for level in range(formats.levels(source.file, job.settings.format)):
        shown, size = source.stored(number, changed, job.settings.format, level)
        if level and size > GROWTH * len(source.file.data):
            break
        best = level
        ideal, real = _shifts(job, eye, target, judges, rounded(seen(changed)), rounded(seen(shown)))
        if real >= (1 - LOSS) * ideal:
            break
    return best


def _shifts(job: Job, eye: Eye, target: Tensor, judges: list[encoders.Encoder], *cloaked: Tensor) -> list[float]:
    """The targeted shift of each, mean over the encoders."""
    found = [measure.targeted_shift(judge, eye.reference, target, *cloaked, compute=job.compute) for judge in judges]
    return [sum(values) / len(judges) for values in zip(*found, strict=True)]


def _growth(job: Job, source: Source, output: Output) -> float | None:
    """How many times as large the file became; None where it is not of its own format."""
    if source.file is None or job.settings.format not in ("", source.file.format):
        return None
    return round(len(output.data) / len(source.file.data), 3)


def _note(job: Job, source: Source, output: Output, found: list[Cloak]) -> None:
    """Say what the file could not keep, and what its compression took."""
    notes, file = job.compute.notes, source.file
    if file is None:
        return
    changed = any(cloak.picture is not page for cloak, page in zip(found, source.pages, strict=False))
    if file.narrow and changed and job.settings.strength:
        notes.append("A palette or less than 8 bits cannot hold a cloak, so the result has 8 bits a channel.")
    if len(found) < len(file.pages):
        notes.append(
            f"Of {len(file.pages)} pages, {len(file.pages) - len(found)} are of one colour and stay as they are."
        )
    finer, lost = max(cloak.level for cloak in found), max(cloak.lost for cloak in found)
    if finer:
        notes.append("The file's own compression would take too much of the cloak; a finer one was used.")
    if lost > LOSS:
        notes.append(f"The file's compression takes {lost:.0%} of the cloak; PNG or TIFF would keep it.")
    growth = _growth(job, source, output)
    if growth is not None and growth > GROWTH:
        notes.append(f"The file is {growth:.1f} times as large as before.")


def _rooms(job: Job, source: Source) -> dict[int, Tensor]:
    """For each page that can be cloaked its room. Raises BadInput where none can be."""
    mask = job.source("mask").pages[0] if "mask" in job.inputs else None
    rooms: dict[int, Tensor] = {}
    refusals = []
    for number, picture in enumerate(source.pages):
        try:
            rooms[number] = _room(job.settings.strength, picture, mask)
        except BadInput as refusal:
            if refusal.code != "nothing_to_protect":
                raise
            refusals.append(refusal)
    if not rooms:
        raise refusals[0]
    return rooms


def _flat() -> BadInput:
    return BadInput("nothing_to_protect", "This picture is one flat colour: there is no style in it to protect.")


def _refuse_flat(whole: Tensor, opacity: Tensor | None) -> None:
    visible = whole.flatten(2) if opacity is None else whole.flatten(2)[..., (opacity > 0).flatten()]
    if not visible.numel() or float((visible.amax(-1) - visible.amin(-1)).max()) <= FLAT_RANGE:
        raise _flat()


def _room(strength: float, picture: Picture, mask: Picture | None) -> Tensor:
    """The largest |δ| of each pixel, (1, 1, H, W): the eye's tolerance, inside the mask, where there is opacity."""
    if picture.flat:
        raise _flat()
    check_memory(f"Cloaking this picture of {picture.size}", BYTES_PER_PIXEL * picture.width * picture.height)
    whole, opacity = seen(picture), pixels.alpha(picture)
    opacity = None if opacity is None else mirrored(opacity)
    _refuse_flat(whole, opacity)
    room = only_within(jnd.room(whole, opacity), picture)
    if mask:
        if (mask.width, mask.height) != (picture.width, picture.height):
            raise BadInput("mask_size", f"The mask is {mask.size}, but the picture is {picture.size}.")
        room = room * seen(mask).mean(1, keepdim=True)
        if not room.any():
            raise BadInput("nothing_to_protect", "The mask is black everywhere it matters: nothing would be cloaked.")
    return strength * room


def _measure(job: Job) -> Result:
    """clean, cloaked, target (optional) → figures alone."""
    return Result(report=_compare(job, *_pair(job)))


def _review(job: Job) -> Result:
    """clean, cloaked, target (optional) → sheet: a PNG, or a page of HTML for the format "html"."""
    clean, cloaked = _pair(job)
    figures = _compare(job, clean, cloaked)
    make = review.page if job.settings.format == "html" else review.sheet
    return Result({"sheet": Output(make(clean.seen, cloaked.seen, figures))}, figures)


def _pair(job: Job) -> tuple[Source, Source]:
    clean, cloaked = job.source("clean"), job.source("cloaked")
    sizes = [f"{one.pages[0].width}×{one.pages[0].height}" for one in (clean, cloaked)]
    if sizes[0] != sizes[1]:
        raise BadInput("sizes_differ", f"The two pictures differ in size: {sizes[0]} and {sizes[1]} px.")
    return clean, cloaked


def _compare(job: Job, clean: Source, cloaked: Source) -> dict[str, Any]:
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
        target, style = job.source("target").seen, "given"
        if target.shape != clean.seen.shape:
            raise BadInput("sizes_differ", "The target differs from the pictures in size.")
    else:
        if searching:
            style = _likely_style(judges, clean.seen, cloaked.seen, steps.advance, job.compute)
        target, by = aim.paint(painter, clean.seen, style, job.settings.seed, steps.advance, job.compute)
    steps.begin("measuring", measure.STEPS)
    eye = Eye(clean.seen, job.compute)
    figures = measure.report(judges, eye, cloaked.seen, target, steps.advance, job.compute)
    names, said = [judge.name for judge in judges], statement(figures)
    return {"encoders": names, "style": style, "painter": by, "statement": said, **figures}


def _likely_style(
    judges: list[encoders.Encoder], clean: Tensor, cloaked: Tensor, tick: Callable[[], None], compute: Compute
) -> str:
    """The embedded style with the greatest targeted shift, judged at PREVIEW_SIDE px."""
    ratio = min(1.0, PREVIEW_SIDE / max(clean.shape[-2:]))
    small, other = (rounded(resize(picture, ratio)) for picture in (clean, cloaked))
    shifts = []
    for number in range(len(styles.STYLES)):
        target = transfer(small, number)
        shifts.append(sum(measure.targeted_shift(judge, small, target, other, compute=compute)[0] for judge in judges))
        tick()
    return styles.STYLES[shifts.index(max(shifts))]


def _preview(seen: Tensor) -> tuple[RasterFormat, bytes]:
    ratio = min(1.0, PREVIEW_SIDE / max(seen.shape[-2:]))
    small = pixels.to_8bit(resize(seen, ratio))
    return RasterFormat(small.shape[1], small.shape[0], "RGB", "u8"), small.tobytes()


def _learn(job: Job) -> Result:
    """picture → how far it is from each style."""
    picture = job.source("picture").pages[0]
    whole, opacity = seen(picture), pixels.alpha(picture)
    _refuse_flat(whole, None if opacity is None else mirrored(opacity))
    steps = Steps(job.reporter, len(styles.STYLES))
    steps.begin("choosing a style")
    far = choice.distances(whole, steps.advance)
    return Result(report={"distances": dict(zip(styles.STYLES, far, strict=True))})


def _style(job: Job) -> Result:
    """What is kept of the artist, after a change if one is asked for. There are no parts."""
    if job.settings.change:
        aim.change(job.settings)
    return Result(report=aim.known())


TASKS = {"protect": _protect, "measure": _measure, "review": _review, "learn": _learn, "style": _style}
