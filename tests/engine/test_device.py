"""A job goes on with less where its device fails it, says so, and ends as it would have on the lesser device."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glaze_plugin.errors import GlazeError
from glaze_server.engine import device as module
from glaze_server.engine import measure, tiles
from glaze_server.engine.budget import Budget
from glaze_server.engine.checkpoint import Checkpoint
from glaze_server.engine.cloak import Subject, optimise
from glaze_server.engine.device import CORE, CPU, HALF_FAILED, LEAST_CORE, Compute, Device, choose
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.jnd import EPSILON, jnd_map
from glaze_server.engine.looking import WINDOW, WINDOWS, Difference, windows
from glaze_server.engine.lpips_distance import Lpips
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Quality
from tests.conftest import ROOT
from tests.engine.conftest import nothing, refusal, waves

HALF = Device(half="float16")
BRIEF = Device(half="bfloat16")
GPU = Device("cuda", half="float16")
SMALLER_ON_CPU = "This computer ran out of memory, so the rest was computed in smaller tiles."
SMALLER = "The graphics card ran out of memory, so the rest was computed in smaller tiles."
ON_CPU = "The graphics card ran out of memory, so the rest was computed on the CPU."


def subject(height: int = 72, width: int = 80) -> Subject:
    picture = waves(height, width)
    return Subject(picture, None, waves(height, width, 0.7), EPSILON * jnd_map(picture))


def cloak(
    encoder: Encoder,
    compute: Compute,
    subject: Subject,
    step: Callable[[Tensor], None] = nothing,
    checkpoint: Path | None = None,
) -> Tensor:
    """So few looks that no dear metric has its turn: in half precision they take long on many processors."""
    quality = Quality(iterations=12, looks=16)
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


def on_the_cpu(brief: bool) -> Device:
    return BRIEF if brief else CPU


class Stopwatch:
    """Stands in for the micro-benchmark: a processor on which bfloat16 is so many times as fast as float32."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times_as_fast: float) -> None:
        self.timed: list[torch.dtype] = []
        self.times_as_fast = times_as_fast
        monkeypatch.setattr(module, "_convolution_seconds", self._seconds)

    def _seconds(self, dtype: torch.dtype) -> float:
        self.timed.append(dtype)
        return 1 / self.times_as_fast if dtype == torch.bfloat16 else 1.0


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the answer of the micro-benchmark is kept, in a home without one; the CPU is asked for."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GLAZE_DEVICE", "cpu")
    return tmp_path / "home" / "cache" / "bfloat16.json"


def test_the_named_device_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLAZE_DEVICE", "cpu")
    assert choose() in (CPU, BRIEF)
    assert str(CPU) == f"CPU, {torch.get_num_threads()} thread"
    assert str(BRIEF) == f"{CPU}, bfloat16"


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_a_named_device_that_does_not_compute_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("GLAZE_DEVICE", name)
    with refusal("device") as caught:
        choose()
    assert name in caught.value.sentence


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a faster one")
def test_without_a_faster_device_the_cpu_is_taken(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = choose()
    monkeypatch.delenv("GLAZE_DEVICE")
    assert choose() == named


@pytest.mark.parametrize(("times_as_fast", "brief"), [(3.0, True), (1.31, True), (1.29, False), (0.01, False)])
def test_bfloat16_is_taken_where_it_pays(
    kept: Path, monkeypatch: pytest.MonkeyPatch, times_as_fast: float, brief: bool
) -> None:
    Stopwatch(monkeypatch, times_as_fast)
    assert choose() == on_the_cpu(brief)


def test_what_pays_is_timed_once_and_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch(monkeypatch, 3.0)
    assert choose() == BRIEF
    assert set(stopwatch.timed) == {torch.bfloat16, torch.float32}
    timed = list(stopwatch.timed)
    stopwatch.times_as_fast = 0.01
    assert choose() == BRIEF
    assert stopwatch.timed == timed
    kept.unlink()
    assert choose() == CPU


def test_this_processor_is_really_timed_and_the_kept_answer_is_what_is_chosen(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choose()
    answers = json.loads(kept.read_text())
    assert list(answers.values()) == [chosen == BRIEF]
    monkeypatch.setattr(module, "_convolution_seconds", unwanted)
    for brief in (True, False):
        kept.write_text(json.dumps(dict.fromkeys(answers, brief)))
        assert choose() == on_the_cpu(brief)


def unwanted(*_: object) -> float:
    raise AssertionError("this was decided before")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe\x00", b'{"another": false}'])
def test_a_broken_or_foreign_answer_is_timed_anew_and_mended(
    kept: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    stopwatch = Stopwatch(monkeypatch, 3.0)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    assert choose() == BRIEF
    assert choose() == BRIEF
    assert len(stopwatch.timed) == 2


def test_an_answer_that_cannot_be_kept_does_no_harm(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the file's place, and a file in the home's: even root can write neither."""
    Stopwatch(monkeypatch, 3.0)
    kept.mkdir(parents=True)
    assert choose() == BRIEF
    assert list(kept.parent.iterdir()) == [kept]
    home = kept.parent.parent
    shutil.rmtree(home)
    home.write_text("in the way")
    assert choose() == BRIEF
    assert home.read_text() == "in the way"


def test_another_number_of_threads_is_another_question(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch(monkeypatch, 3.0)
    assert choose() == BRIEF
    stopwatch.times_as_fast = 0.5
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 7)
        assert choose() == CPU
    assert choose() == BRIEF
    assert len(stopwatch.timed) == 4
    assert sorted(json.loads(kept.read_text()).values()) == [False, True]


@pytest.mark.parametrize(
    ("capability", "half"),
    [((6, 1), ""), ((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_each_card_takes_the_precision_that_it_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], half: str
) -> None:
    """A mock: there is no card."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert module._half("cuda") == half


@pytest.mark.parametrize("itemsize", [2, 4])
def test_tiles_grow_with_the_memory_and_keep_every_grid(itemsize: int) -> None:
    sizes = [module._core(gigabytes << 30, itemsize) for gigabytes in (0, 1, 2, 4, 8, 12, 16, 24, 48, 80, 140, 1000)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (LEAST_CORE, module.MOST_CORE)
    assert len(set(sizes)) > 5
    assert not [size for size in sizes if size % module.GRID]


# Half precision


either = pytest.mark.parametrize("half", [HALF, BRIEF], ids=["float16", "bfloat16"])


@either
def test_half_precision_moves_the_encoder_as_far_as_full_precision(embedded: Encoder, half: Device) -> None:
    one, compute = subject(), Compute(half)
    deltas = [cloak(embedded, Compute(), one), cloak(embedded, compute, one)]
    assert not torch.equal(*deltas), "half precision was not used"
    full, other = measure.targeted_shift(embedded, one.colour, one.target, *(one.seen(delta) for delta in deltas))
    assert full > 0.06
    assert other == pytest.approx(full, rel=0.05)
    assert compute.notes == []


@pytest.mark.parametrize(("half", "error"), [(HALF, 0.02), (BRIEF, 0.05)], ids=["float16", "bfloat16"])
def test_latents_come_back_in_full_precision_whatever_computed_them(
    embedded: Encoder, half: Device, error: float
) -> None:
    x = waves(40, 48)
    other, full = embedded(x, half), embedded(x)
    assert other.dtype == full.dtype == torch.float32
    assert not torch.equal(other, full)
    torch.testing.assert_close(other, full, rtol=0, atol=error * float(full.abs().max()))


@either
def test_figures_are_of_full_precision(embedded: Encoder, half: Device) -> None:
    x = waves(40, 48)
    assert torch.equal(tiles.encode(embedded, x, Compute(half)), tiles.encode(embedded, x))
    for net in ("alex", "vgg"):
        assert Lpips(x, net, compute=Compute(half)).distance(1 - x) == Lpips(x, net).distance(1 - x)


@either
def test_half_precision_gives_the_same_bits_every_time(embedded: Encoder, half: Device) -> None:
    assert torch.equal(cloak(embedded, Compute(half), subject()), cloak(embedded, Compute(half), subject()))


def test_numbers_that_half_precision_cannot_hold_are_computed_in_full(embedded: Encoder) -> None:
    encoder, one, compute = overflowing(), subject(), Compute(HALF)
    assert not encoder(one.colour, HALF).isfinite().all()
    assert torch.equal(cloak(encoder, compute, one), cloak(encoder, Compute(), one))
    assert compute.notes == [HALF_FAILED]
    assert compute.device == CPU


def test_bfloat16_holds_what_float16_cannot() -> None:
    assert overflowing()(subject().colour, BRIEF).isfinite().all()


@either
def test_an_encoder_without_numbers_in_full_precision_is_an_error(half: Device) -> None:
    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., ::8, ::8] * torch.nan

    with refusal("not_finite", GlazeError) as caught:
        tiles.gradient(Encoder("blind", Blind()), waves(64, 64), lambda latent, _: latent.sum(), Compute(half))
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


def test_a_graphics_card_without_memory_leaves_the_work_to_the_cpu(
    embedded: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock: this must hold on machines without a graphics card, where no real one can run out of memory."""
    error = torch.OutOfMemoryError("CUDA out of memory.")
    encoder, one, expected = Strained(embedded, elsewhere, error), subject(), cloak(embedded, Compute(), subject())
    judged, real = [], Difference._values

    def strained(self: Difference, picture: Tensor, device: Device) -> Iterator[Tensor]:
        judged.append(device)
        if elsewhere(device):
            raise error
        return real(self, picture, device)

    monkeypatch.setattr(Difference, "_values", strained)
    compute = Compute(GPU)
    assert torch.equal(cloak(encoder, compute, one), expected)
    assert compute.notes == [SMALLER, ON_CPU]
    assert compute.device == CPU
    assert [device.core for device in judged[:4]] == [CORE, CORE // 2, LEAST_CORE, CORE]
    assert set(encoder.asked) == {CPU}


def elsewhere(device: Device) -> bool:
    return device.name != "cpu"


def test_an_encoder_without_memory_on_the_graphics_card_is_asked_on_the_cpu(embedded: Encoder) -> None:
    """A mock, too."""
    encoder = Strained(embedded, elsewhere, torch.OutOfMemoryError("CUDA out of memory."))
    compute, x = Compute(GPU), waves(72, 80)
    _, gradient = tiles.gradient(encoder, x, lambda latent, _: latent.sum(), compute)
    assert torch.equal(gradient, tiles.gradient(embedded, x, lambda latent, _: latent.sum())[1])
    assert compute.notes == [SMALLER, ON_CPU]
    assert encoder.asked == [GPU, replace(GPU, core=CORE // 2), replace(GPU, core=LEAST_CORE), CPU]


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
def test_lpips_says_nearly_the_same_in_the_smaller_windows_of_short_memory(net: str) -> None:
    """Nearly: what lies beyond a window's border is not seen from within."""
    height, width = LEAST_CORE, 3 * LEAST_CORE
    assert [len(windows(height, width, WINDOWS, size)) for size in (WINDOW, LEAST_CORE)] == [1, 3]
    x, y = waves(height, width), waves(height, width, 0.7)
    roomy, short = Lpips(x, net), Lpips(x, net, compute=Compute(Device(core=LEAST_CORE)))
    (distance, slope), (other, pull) = roomy.gradient(y), short.gradient(y)
    assert other == pytest.approx(distance, rel=0.05) and other != distance
    assert float(pull.norm()) == pytest.approx(float(slope.norm()), rel=0.15)
    assert float(torch.cosine_similarity(pull.flatten(), slope.flatten(), 0)) > 0.75
    assert short.distance(y) == pytest.approx(other)


# Taken up again


def test_what_was_given_up_stays_given_up_when_the_job_is_taken_up_again(embedded: Encoder, tmp_path: Path) -> None:
    """The memory runs out once, in the third step; where it is paused later, the rest must be the same to the bit.

    A mock, since an undisturbed run must fail at the very same call.
    """
    began = replace(BRIEF, core=2 * LEAST_CORE)
    tall = subject(LEAST_CORE + 2 * tiles.HALO + 60, 72)

    class Third:
        """Counts the steps of a run, whose encoder fails once in the third and which may be paused after the fourth."""

        def __init__(self, pauses: bool) -> None:
            self.steps, self.failed, self._pauses = 0, False, pauses

        def fails(self, _: Device) -> bool:
            now = self.steps == 2 and not self.failed
            self.failed = self.failed or now
            return now

        def step(self, _: Tensor) -> None:
            self.steps += 1
            if self.steps == 4 and self._pauses:
                raise Paused

        def encoder(self) -> Encoder:
            return Strained(embedded, self.fails, MemoryError())

    compute, third = Compute(began), Third(pauses=False)
    calm = cloak(third.encoder(), compute, tall, third.step)
    assert compute.notes == [SMALLER_ON_CPU]
    third = Third(pauses=True)
    with pytest.raises(Paused):
        cloak(third.encoder(), Compute(began), tall, third.step, tmp_path / "checkpoint")
    resumed = Compute(began)
    assert torch.equal(cloak(embedded, resumed, tall, nothing, tmp_path / "checkpoint"), calm)
    assert (resumed.device, resumed.notes) == (compute.device, compute.notes)


def test_a_job_that_has_been_given_another_device_since_goes_on_there() -> None:
    earlier, now = Compute(GPU), Compute()
    earlier.notes.append(SMALLER)
    now.resume(earlier.facts())
    assert (now.device, now.notes) == (CPU, [])
