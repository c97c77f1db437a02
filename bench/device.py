"""`python -m bench.device`: what one iteration costs with each kind of encoder, and how much of the device it uses.

An iteration is `tiles.gradient`, the engine's own way, from a picture in main memory to its gradient there, in the
precision that the engine takes gradients in. Weights are random: the cost is the same. Prints a table and writes
device.json into a folder. Nothing beyond torch, numpy, safetensors and diffusers is needed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.cloakbench import machine
from glaze_plugin.errors import BadInput
from glaze_server.engine import catalogue, encoders, stock, tiles
from glaze_server.engine import device as devices
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.tiles import Window

KINDS = ("embedded", "taesana", "taesd", "taef2", "qwen-image", "sd15", "flux1", "flux2", "sana")
"""One encoder of each kind, the cheapest first: what differs within a kind costs nothing."""
SIZES = (512, 1024, 2048)
WHOLE = 1 << 16
"""px of a tile into which every picture here fits."""
TILE = 384
"""px of the tiles, without their halo, of a card with 4 GB."""
ROUNDS, ROUND_SECONDS = 9, 3.0
"""An iteration is repeated so often, or for so many s."""
MATMUL_SIDES = {"cpu": (1536,), "cuda": (4096, 8192, 16384), "xpu": (4096, 8192), "mps": (4096,)}


@dataclass(frozen=True)
class Row:
    """One measurement. side: px. core: px of a tile, WHOLE for none. flop: of one iteration. seconds: the median.

    alone, compiled: seconds of the network alone, its input on the device, as it is and compiled; None where that was
    not measured. memory: MiB at most beyond the network itself. share: of the device's matrix-multiply peak.
    """

    encoder: str
    side: int
    core: int
    flop: int
    seconds: float
    alone: float | None
    compiled: float | None
    memory: float | None
    share: float


def synchronised(device: Device) -> None:
    """Wait for what the device still computes."""
    if device.name != "cpu":
        torch.get_device_module(device.name).synchronize()


def median_seconds(work: Callable[[], object], device: Device, warm: bool = False) -> float:
    """s of one call, the median of some. warm: it was called before, so that the first counts too."""
    if not warm:
        work()
    taken: list[float] = []
    while len(taken) < ROUNDS and (sum(taken) < ROUND_SECONDS or not taken):
        synchronised(device)
        began = time.perf_counter()
        work()
        synchronised(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def matmul_peak(device: Device) -> float:
    """FLOP a second of the best large matrix product in the precision of the gradients."""
    best = 0.0
    for side in MATMUL_SIDES[torch.device(device.name).type]:
        one = torch.randn(side, side, device=device.name, dtype=device.dtype)
        best = max(best, 2 * side**3 / median_seconds(lambda one=one: one @ one, device))  # type: ignore[misc]
    return best


def _loss(latent: Tensor, _: Window) -> Tensor:
    return latent.square().sum()


class Rigid(Compute):
    """Gives nothing up: where memory runs out, there is nothing to measure."""

    def _use_less_memory(self) -> None:
        raise torch.OutOfMemoryError("out of memory")


class Peak:
    """Memory taken since the beginning, at most: MiB, None where the system does not tell."""

    def __init__(self, device: Device) -> None:
        self._cuda = torch.device(device.name).type == "cuda"
        self._name = device.name
        self._cpu = machine.PeakMemory()
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._name)
            self._before = torch.cuda.memory_allocated(self._name)

    def mebibytes(self) -> float | None:
        if self._cuda:
            return (torch.cuda.max_memory_allocated(self._name) - self._before) / 2**20
        return self._cpu.mebibytes() if self._name == "cpu" else None


def measured(encoder: Encoder, side: int, device: Device, peak: float, compiled: bool) -> Row:
    """One row. Raises torch.OutOfMemoryError or RuntimeError where the device has too little memory."""
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))

    def iteration() -> None:
        tiles.gradient(encoder, x, _loss, Rigid(device))

    encoder(x[..., :64, :64], device)  # the copy on the device is no part of an iteration's memory
    memory = Peak(device)
    with FlopCounterMode(display=False) as counter:
        iteration()
    taken = memory.mebibytes()
    seconds = median_seconds(iteration, device, warm=True)
    flop = counter.get_total_flops()
    on_card = device.core == WHOLE and device.name != "cpu"  # elsewhere the two are one
    alone = _alone(encoder, x, device, False) if on_card else None
    faster = _alone(encoder, x, device, True) if device.core == WHOLE and compiled else None
    return Row(encoder.name, side, device.core, flop, seconds, alone, faster, taken, flop / seconds / peak)


def _alone(encoder: Encoder, x: Tensor, device: Device, compiled: bool) -> float:
    """s of the network's own gradient, its input on the device."""
    network: Any = device.place(encoder._network)
    network = torch.compile(network) if compiled else network
    there = x.to(device.name, device.dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    return median_seconds(lambda: torch.autograd.grad(network(there).float().square().sum(), there), device)


def rows(
    names: list[str], sizes: list[int], device: Device, peak: float, seconds: float, compiled: bool
) -> Iterator[Row | str]:
    """Measurements until the time is over, and a sentence for each that was left out."""
    began = time.monotonic()
    for side in sorted(sizes):
        last = 0.0
        for name in names:
            for core in [WHOLE] + ([TILE] if side > TILE + 2 * tiles.HALO else []):
                what = f"{name} at {side} px" + f", tiles of {core} px" * (core != WHOLE)
                started = time.monotonic()
                if started + last - began > seconds:
                    yield f"{what}: no time left."
                    continue
                try:
                    yield measured(encoders.untrained(name), side, replace(device, core=core), peak, compiled)
                except (RuntimeError, MemoryError) as error:
                    if not devices.out_of_memory(error):
                        raise
                    yield f"{what}: too little memory."
                last = time.monotonic() - started


def line(row: Row) -> str:
    """A row of the table."""

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return (
        f"{row.encoder:11s} {row.side:5d} {'–' if row.core == WHOLE else row.core:>5} {row.flop / 1e9:9.0f} "
        f"{row.seconds:9.4f} {shown(row.alone, '.4f'):>9} {shown(row.compiled, '.4f'):>9} "
        f"{100 * row.share:6.1f} % {shown(row.memory, '.0f'):>8}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.device", description=__doc__)
    add = parser.add_argument
    add("--encoders", nargs="+", metavar="NAME", default=list(KINDS), help=f"of the registry ({', '.join(KINDS)})")
    add("--sizes", nargs="+", type=int, metavar="PX", default=list(SIZES), help="sides of the picture (512 1024 2048)")
    add("--seconds", type=float, metavar="S", default=120.0, help="begin nothing that would end later (120)")
    add("--half", choices=["float16", "bfloat16", "float32"], help="precision (the one that the engine would take)")
    add("--compile", action="store_true", help="also time the network alone as torch.compile makes it")
    add("--fast", action="store_true", help="without deterministic algorithms, with the search for the fastest")
    add("--commit", metavar="HASH", help="what was measured, where this is no checkout")
    add("--out", type=Path, metavar="FOLDER", default=Path("out"), help="where device.json goes (out)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write. Returns the exit code; a wrong argument exits with 2."""
    options = _parser().parse_args(arguments)
    torch.use_deterministic_algorithms(not options.fast, warn_only=True)  # as jobs have it
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = options.fast
    warnings.filterwarnings("ignore", message=".*deterministic.*")
    try:
        device = devices.choose()
        for name in options.encoders:
            catalogue.find(name, stock.own())
    except BadInput as error:
        print(error.sentence, file=sys.stderr)
        return 2
    if options.half:
        device = replace(device, half="" if options.half == "float32" else options.half)
    peak = matmul_peak(device)
    facts = {
        "machine": machine.in_words(device),
        "card": str(device),
        "date": datetime.date.today().isoformat(),
        "commit": options.commit or machine.commit(),
        "precision": device.half or "float32",
        "deterministic": not options.fast,
        "matmul_peak": peak,
    }
    print(f"{facts['machine']}, commit {facts['commit']}")
    print(f"matrix products in {facts['precision']}: {peak / 1e12:.2f} TFLOP/s at best")
    print("encoder      side  tile     GFLOP   s/iter.   network  compiled    peak      MiB")
    found: list[Row] = []
    left_out: list[str] = []
    for row in rows(options.encoders, options.sizes, device, peak, options.seconds, options.compile):
        if isinstance(row, str):
            left_out.append(row)
        else:
            found.append(row)
        print(row if isinstance(row, str) else line(row), flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        table = {**facts, "rows": [asdict(one) for one in found], "left_out": left_out}
        (options.out / "device.json").write_text(json.dumps(table, indent=2, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
