"""Where a job's networks compute: on which device, in which precision, over how large a tile; and how it gives way.

Canvases are float32 and stay on the CPU, unless a card has plenty of room; windows travel. So a job that runs out of
memory, or gets no usable numbers from half precision, repeats one gradient and goes on.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glaze_plugin import places
from glaze_plugin.errors import BadInput, GlazeError

CORE = 768
LEAST_CORE, MOST_CORE = 192, 3072
"""px of a tile without its halo, at first, at least and at most; multiples of every encoder's stride."""
GRID = 64
"""px; what tiles are multiples of."""
PX_BYTES = 4200
"""Bytes that the gradient of the largest encoders takes for each px of a tile and each byte of a number."""
SHARE = 0.7
"""Of a card's free memory that a tile may take; the rest is for networks and for what is judged beside it."""
HALF_SINCE, BRIEF_SINCE = (7, 0), (8, 0)
"""CUDA compute capability from which float16, then bfloat16, whose range no encoder exceeds, is faster than float32."""
PLANES = 12
"""Planes of a picture's size that a job holds at once."""
PAYS = 1.3
"""How many times faster bfloat16 must be on a processor."""

OUT_OF_MEMORY = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "bad_alloc",
    "could not create a primitive",
)
"""How torch and oneDNN say so in a plain RuntimeError.

oneDNN is of no more use then: a thread in which it once failed so can create no other convolution, however much memory
there is by then. A process whose job ended with the error "memory" is best replaced.
"""

HALF_FAILED = "Half precision gave unusable numbers on this device, so the rest was computed in full precision."

Network = TypeVar("Network", bound=nn.Module)
Answer = TypeVar("Answer", Tensor, float, tuple[float, Tensor])


@dataclass(frozen=True)
class Device:
    """name: as torch has it. core: px of a tile without its halo.

    half: "float16" or "bfloat16", in which the gradients of the loop are taken; "" for full precision.
    """

    name: str = "cpu"
    half: str = ""
    core: int = CORE

    @property
    def dtype(self) -> torch.dtype:
        return cast(torch.dtype, getattr(torch, self.half or "float32"))

    def place(self, network: Network) -> Network:
        """The network here and in this precision: itself in float32 on the CPU, else a copy that is kept."""
        if self.name == "cpu" and not self.half:
            return network
        placed: Network = _copied(network, self.name, self.dtype)
        return placed

    def brief(self) -> torch.autocast:
        """A context in which a network with weights in full precision computes in bfloat16, if that pays here."""
        return torch.autocast(torch.device(self.name).type, torch.bfloat16, enabled=self.half == "bfloat16")

    def __str__(self) -> str:
        """In words, for an artist."""
        kind = torch.device(self.name).type
        if kind == "cpu":
            threads = torch.get_num_threads()
            return f"CPU, {threads} thread{'s' * (threads > 1)}" + ", bfloat16" * bool(self.half)
        names = {
            "cuda": torch.cuda.get_device_name,
            "xpu": torch.xpu.get_device_name,
            "mps": lambda _: "Apple graphics processor",
        }
        name = names.get(kind, str)(self.name)
        return f"{name}, {'half' if self.half else 'full'} precision"


CPU = Device()


@lru_cache(maxsize=8)
def _copied(network: Any, name: str, dtype: torch.dtype) -> Any:
    return copy.deepcopy(network).to(name, dtype)


def choose() -> Device:
    """The device that GLAZE_DEVICE names, else the fastest that computes. Raises BadInput where the named one fails."""
    named = os.environ.get("GLAZE_DEVICE")
    name = next((name for name in ([named] if named else ["cuda", "xpu", "mps", "cpu"]) if _computes(name)), None)
    if name is None:
        raise BadInput(
            "device",
            f"The device {named!r}, which GLAZE_DEVICE names, cannot be used on this computer.",
            "Set it to cpu, cuda, cuda:1, xpu or mps, or leave it unset.",
        )
    device = Device(name, _half(name))
    memory = free_memory(device)
    return device if memory is None else replace(device, core=_core(memory, device.dtype.itemsize))


def _half(name: str) -> str:
    kind = torch.device(name).type
    if kind == "cpu":
        return "bfloat16" if _bfloat16_pays() else ""
    if kind == "xpu":
        return "bfloat16"
    if kind == "cuda":
        since = torch.cuda.get_device_capability(name)
        if since >= BRIEF_SINCE and not torch.version.hip:  # AMD numbers its cards otherwise
            return "bfloat16"
        return "float16" if since >= HALF_SINCE else ""
    return ""


def free_memory(device: Device) -> int | None:
    """Bytes that are free on a graphics card; None for the CPU, and where the system does not tell."""
    kind = torch.device(device.name).type
    with suppress(RuntimeError, AssertionError, AttributeError):
        if kind in ("cuda", "xpu"):
            module, card = torch.get_device_module(device.name), torch.device(device.name)
            kept = module.memory_reserved(card) - module.memory_allocated(card)  # by torch, for what comes next
            return int(module.mem_get_info(card)[0] + kept)
        if kind == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


def _core(memory: int, itemsize: int) -> int:
    """px of the largest tile whose gradient fits: 384 with 4 GiB free, 768 with 12, 2496 with 80 in half precision."""
    side = int((SHARE * memory / (PX_BYTES * itemsize)) ** 0.5) - 2 * GRID  # GRID is the halo's width, too
    return min(max(side // LEAST_CORE * LEAST_CORE, LEAST_CORE), MOST_CORE)


def _bfloat16_pays() -> bool:
    """Whether bfloat16 is faster on this processor: 2 to 5 times with AMX or AVX-512, else 29 to 115 times slower.

    Timed once for each processor, torch and number of threads, and kept, so that the same job gives the same bytes.
    """
    processor = torch.backends.cpu.get_cpu_capability(), platform.processor(), platform.node()
    key = " ".join([torch.__version__, *processor, str(torch.get_num_threads())])
    kept = places.cache() / "bfloat16.json"
    answers: dict[str, bool] = {}
    with suppress(OSError, ValueError, TypeError):
        answers = dict(json.loads(kept.read_text()))
    if key in answers:
        return bool(answers[key])
    pays = PAYS * _convolution_seconds(torch.bfloat16) < _convolution_seconds(torch.float32)
    with suppress(OSError, GlazeError):
        places.private(kept.parent)
        places.write_json(kept, answers | {key: pays})
    return pays


def _convolution_seconds(dtype: torch.dtype) -> float:
    """s for the gradient of a convolution as encoders have them, the fastest of three."""
    x = torch.rand(1, 64, 64, 64, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    kernel = torch.rand(64, 64, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.autograd.grad(F.conv2d(x, kernel, padding=1).sum(), x)
        times.append(time.perf_counter() - start)
    return min(times)


def _computes(name: str) -> bool:
    """Whether a convolution comes back from there: drivers may be missing, or too old for this build of torch."""
    try:
        return F.conv2d(torch.ones(1, 1, 3, 3, device=name), torch.ones(1, 1, 3, 3, device=name)).item() == 9
    except (RuntimeError, AssertionError):
        return False


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        words in str(error) for words in OUT_OF_MEMORY
    )


def no_memory() -> GlazeError:
    return GlazeError(
        "memory", "There is not enough memory for this picture.", "Close other programs, or take a smaller picture."
    )


class Compute:
    """One job's device, and what the job had to give up of it. notes: a sentence for each."""

    def __init__(self, device: Device = CPU) -> None:
        self.device = device
        self.notes: list[str] = []
        self._began = device

    def home(self, canvas: Tensor) -> str:
        """Where the planes of a job best lie: on the device if they take little of its memory, else on the CPU."""
        return self.device.name if PLANES * canvas.nbytes < (free_memory(self.device) or 0) / 4 else CPU.name

    def run(self, work: Callable[[Device], Answer], who: str, half: bool = False) -> Answer:
        """What `work` gives, all finite; repeated with less where the device fails.

        work: depends on nothing but the device, and leaves nothing behind when it fails. who: what answers, as the
        subject of a sentence. half: half precision will do. Raises GlazeError where nothing is left to give up.
        """
        while True:
            device = self.device if half else replace(self.device, half="")
            answer = None
            try:
                answer = work(device)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            if answer is None:
                self._use_less_memory()  # here, where the failed attempt's tensors are gone with its traceback
            elif _finite(answer):
                return answer
            elif device.half:
                self._go_on(replace(self.device, half=""), HALF_FAILED)
            else:
                raise GlazeError("not_finite", f"{who} gave no usable numbers for this picture.")

    def _use_less_memory(self) -> None:
        device, on_cpu = self.device, self.device.name == "cpu"
        short = f"{'This computer' if on_cpu else 'The graphics card'} ran out of memory, so the rest was computed"
        if not on_cpu:
            torch.get_device_module(device.name).empty_cache()
        if device.core > LEAST_CORE:
            self._go_on(
                replace(device, core=max(device.core // 2 // GRID * GRID, LEAST_CORE)), f"{short} in smaller tiles."
            )
        elif not on_cpu:
            self._go_on(CPU, f"{short} on the CPU.")
        else:
            raise no_memory()

    def _go_on(self, device: Device, note: str) -> None:
        self.device = device
        if note not in self.notes:
            self.notes.append(note)

    def facts(self) -> dict[str, Any]:
        """What a run that takes this one up must know, for JSON."""
        return {"began": asdict(self._began), "device": asdict(self.device), "notes": self.notes}

    def resume(self, facts: dict[str, Any]) -> None:
        """Go on with what the earlier run had come to, unless the job has been given another device since."""
        if facts["began"] == asdict(self._began):
            self.device, self.notes = Device(**facts["device"]), list(facts["notes"])


def _finite(answer: Tensor | float | tuple[float, Tensor]) -> bool:
    parts = answer if isinstance(answer, tuple) else (answer,)
    return all(bool(torch.as_tensor(part).isfinite().all()) for part in parts)
