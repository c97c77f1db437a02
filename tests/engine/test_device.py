"""A job goes on with less where its device fails it, says so, and ends as it would have on the lesser device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glaze_plugin.errors import GlazeError
from glaze_server.engine import device as module
from glaze_server.engine import measure, perception, tiles
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import CORE, CPU, HALF_FAILED, LEAST_CORE, Compute, Device, choose
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.perception import Budget, Lpips
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Quality
from tests.conftest import ROOT
from tests.engine.conftest import nothing, refusal, waves

HALF = Device(half=True)
GPU = Device("cuda", half=True)
SMALLER_ON_CPU = "This computer ran out of memory, so the rest was computed in smaller tiles."
SMALLER = "The graphics card ran out of memory, so the rest was computed in smaller tiles."
ON_CPU = "The graphics card ran out of memory, so the rest was computed on the CPU."


def subject(height: int = 72, width: int = 80) -> Subject:
    picture = waves(height, width)
    return Subject(picture, None, waves(height, width, 0.7), perception.EPSILON * perception.jnd_map(picture))


def cloak(
    encoder: Encoder,
    compute: Compute,
    subject: Subject,
    step: Callable[[Tensor], None] = nothing,
    checkpoint: Path | None = None,
) -> Tensor:
    quality = Quality(iterations=5, scales=2)
    return optimise(subject, [encoder], quality, Budget(), 1, step, Checkpoint(checkpoint), compute)


class Strained(Encoder):
    """An encoder that may fail before it does what another one does, and remembers where it was asked to."""

    def __init__(self, other: Encoder, fails: Callable[[Device], bool], error: Exception) -> None:
        self.name = other.name
        self.asked: list[Device] = []
        self._other, self._fails, self._error = other, fails, error

    def __call__(self, x: Tensor, device: Device = CPU) -> Tensor:
        self.asked.append(device)
        if self._fails(device):
            raise self._error
        return self._other(x, device)


class Greedy(nn.Module):
    """A network that wants more memory than any machine has."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.empty(x.numel() << 40)


def overflowing() -> Encoder:
    """An encoder whose numbers on the way exceed 65504, the largest of half precision, and whose latents do not."""
    torch.manual_seed(4)
    up, down = nn.Conv2d(3, 16, 8, stride=8), nn.Conv2d(16, 8, 1)
    with torch.no_grad():
        up.weight *= 3e5
        down.weight /= 3e5
    return Encoder("overflowing", nn.Sequential(up, nn.ReLU(), down))


# Choosing


def test_the_named_device_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_DEVICE", "cpu")
    assert choose() == CPU
    assert str(CPU) == f"CPU, {torch.get_num_threads()} thread"


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_a_named_device_that_does_not_compute_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("GLAZE_DEVICE", name)
    with refusal("device") as caught:
        choose()
    assert name in caught.value.sentence


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a faster one")
def test_without_a_faster_device_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLAZE_DEVICE", raising=False)
    assert choose() == CPU


# Half precision


def test_half_precision_moves_the_encoder_as_far_as_full_precision(embedded: Encoder) -> None:
    one, compute = subject(), Compute(HALF)
    deltas = [cloak(embedded, Compute(), one), cloak(embedded, compute, one)]
    assert not torch.equal(*deltas), "half precision was not used"
    full, half = measure.targeted_shift(embedded, one.colour, one.target, *(one.seen(delta) for delta in deltas))
    assert full > 0.1
    assert half == pytest.approx(full, rel=0.05)
    assert compute.notes == []


def test_latents_come_back_in_full_precision_whatever_computed_them(embedded: Encoder) -> None:
    x = waves(40, 48)
    half, full = embedded(x, HALF), embedded(x)
    assert half.dtype == full.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0, atol=0.02 * float(full.abs().max()))


def test_figures_are_of_full_precision(embedded: Encoder) -> None:
    x = waves(40, 48)
    assert torch.equal(tiles.encode(embedded, x, Compute(HALF)), tiles.encode(embedded, x))


def test_numbers_that_half_precision_cannot_hold_are_computed_in_full(embedded: Encoder) -> None:
    encoder, one, compute = overflowing(), subject(), Compute(HALF)
    assert not encoder(one.colour, HALF).isfinite().all()
    assert torch.equal(cloak(encoder, compute, one), cloak(encoder, Compute(), one))
    assert compute.notes == [HALF_FAILED]
    assert compute.device == CPU


def test_an_encoder_without_numbers_in_full_precision_is_an_error() -> None:
    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., ::8, ::8] * torch.nan

    with refusal("not_finite", GlazeError) as caught:
        tiles.gradient(Encoder("blind", Blind()), waves(64, 64), lambda latent, _: latent.sum(), Compute(HALF))
    assert "blind" in caught.value.sentence


def test_a_delta_without_numbers_is_an_error_and_never_a_cloak(embedded: Encoder, tmp_path: Path) -> None:
    def pause(_: Tensor) -> None:
        raise Paused

    file = tmp_path / "checkpoint"
    with pytest.raises(Paused):
        cloak(embedded, Compute(), subject(), pause, file)
    saved = Checkpoint(file).load()
    assert saved
    tensors, facts = saved
    Checkpoint(file).save({**tensors, "delta": tensors["delta"] * torch.nan}, {**facts, "done": 5})
    with refusal("not_finite", GlazeError):
        cloak(embedded, Compute(), subject(), nothing, file)


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_picture_too_large_for_the_memory_is_computed_in_smaller_tiles() -> None:
    """Real: processes with ever less address space, until one that is too small for a whole tile finishes all the same.

    How much that is depends on the machine.
    """
    said = []
    for mebibytes in range(550, 250, -50):
        script = [sys.executable, "-m", "tests.engine.little_memory", str(mebibytes)]
        done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
        said.append(done.stdout.strip() if done.returncode == 0 else done.stderr[-200:])
        if said[-1] == SMALLER_ON_CPU:
            break
    assert said[-1] == SMALLER_ON_CPU, said


def test_a_graphics_card_without_memory_leaves_the_work_to_the_cpu(embedded: Encoder) -> None:
    """A mock: this must hold on machines without a graphics card, where no real one can run out of memory."""
    encoder = Strained(embedded, lambda device: device.name != "cpu", torch.OutOfMemoryError("CUDA out of memory."))
    one, compute = subject(), Compute(GPU)
    assert torch.equal(cloak(encoder, compute, one), cloak(embedded, Compute(), one))
    assert compute.notes == [SMALLER, ON_CPU]
    assert compute.device == CPU
    assert [device.core for device in encoder.asked[:4]] == [CORE, CORE // 2, LEAST_CORE, CORE]


def test_memory_that_runs_out_everywhere_is_said_in_a_sentence() -> None:
    compute = Compute()
    with refusal("memory", GlazeError):
        tiles.encode(Encoder("greedy", Greedy()), waves(64, 64), compute)
    assert compute.device.core == LEAST_CORE


@pytest.mark.parametrize(
    "words",
    [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to …",
        "[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: not enough memory: you tried to allocate …",
        "MPS backend out of memory (MPS allocated: 8.01 GB, other allocations: 1.09 GB, max allowed: 9.07 GB).",
        "CUDA error: out of memory",
        "std::bad_alloc",
    ],
)
def test_every_systems_words_for_it_are_known(words: str) -> None:
    assert module.out_of_memory(RuntimeError(words))


def test_another_fault_is_left_alone(embedded: Encoder) -> None:
    encoder = Strained(embedded, lambda _: True, RuntimeError("expected 3 channels"))
    with pytest.raises(RuntimeError, match="3 channels"):
        tiles.encode(encoder, waves(64, 64), Compute())
    assert len(encoder.asked) == 1


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_keeps_nothing_where_memory_is_short_and_says_the_same(net: str) -> None:
    x, y = waves(64, 80), waves(64, 80, 0.7)
    roomy, short = Lpips(x, net), Lpips(x, net, compute=Compute(Device(core=LEAST_CORE)))
    for _ in range(2):
        assert short.distance(y) == roomy.distance(y)
    assert torch.equal(short.gradient(y)[1], roomy.gradient(y)[1])


# Taken up again


def test_what_was_given_up_stays_given_up_when_the_job_is_taken_up_again(embedded: Encoder, tmp_path: Path) -> None:
    """The memory runs out once, in the third step; where it is paused later, the rest must be the same to the bit.

    A mock, since an undisturbed run must fail at the very same call.
    """
    began = Device(half=True, core=2 * LEAST_CORE)
    tall = subject(LEAST_CORE + 2 * tiles.HALO + 60, 72)

    def once() -> Strained:
        return Strained(embedded, lambda _: len(encoder.asked) == 15, MemoryError())

    compute = Compute(began)
    encoder = once()
    calm = cloak(encoder, compute, tall)
    assert compute.notes == [SMALLER_ON_CPU]

    steps = 0

    def pause(_: Tensor) -> None:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise Paused

    encoder = once()
    with pytest.raises(Paused):
        cloak(encoder, Compute(began), tall, pause, tmp_path / "checkpoint")
    resumed = Compute(began)
    assert torch.equal(cloak(embedded, resumed, tall, nothing, tmp_path / "checkpoint"), calm)
    assert (resumed.device, resumed.notes) == (compute.device, compute.notes)


def test_a_job_that_has_been_given_another_device_since_goes_on_there() -> None:
    earlier, now = Compute(GPU), Compute()
    earlier.notes.append(SMALLER)
    now.resume(earlier.facts())
    assert (now.device, now.notes) == (CPU, [])
