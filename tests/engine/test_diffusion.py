"""A diffusion model of the artist's paints the target, and where it cannot, the job says so and goes on or ends."""

from __future__ import annotations

import ast
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from glaze_plugin import places
from glaze_plugin.errors import Cancelled, GlazeError
from glaze_server.engine import diffusion, painters, tasks
from glaze_server.engine.device import Compute, Device
from glaze_server.engine.diffusion import GRID
from glaze_server.engine.painters import EMBEDDED, Painter
from glaze_server.engine.progress import Paused
from glaze_server.engine.source import Input
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, nothing, refusal, waves
from tests.engine.tiny_pipelines import SIDE, sdxl_turbo, stable_diffusion

PROMPT = "an etching, fine hatching"


@pytest.fixture(scope="module")
def studio(home: Path) -> Iterator[Path]:
    """The artist's folder with two models in it, there for this module alone."""
    folder = places.painters()
    stable_diffusion(folder / "sd")
    sdxl_turbo(folder / "xl-turbo")
    yield folder
    shutil.rmtree(folder)
    diffusion._pipeline.cache_clear()


@pytest.fixture
def broken(studio: Path) -> Iterator[Path]:
    """A copy of one that a test may spoil."""
    yield Path(shutil.copytree(studio / "sd", studio / "spoilt"))
    shutil.rmtree(studio / "spoilt")
    diffusion._pipeline.cache_clear()


def painted(painter: Painter, x: torch.Tensor, prompt: str = PROMPT, seed: int = 0) -> torch.Tensor:
    target = diffusion.paint(painter, x, prompt, seed, nothing, Compute())
    assert target is not None
    return target


@pytest.mark.parametrize("name", ["sd", "xl-turbo"])
def test_a_target_has_the_pictures_shape_and_depends_on_seed_and_prompt(studio: Path, name: str) -> None:
    painter, x = Painter(studio / name), waves(50, 83)
    target = painted(painter, x)
    assert target.shape == x.shape
    assert 0 <= float(target.min()) < float(target.max()) <= 1
    assert torch.equal(target, painted(painter, x))
    assert not torch.equal(target, painted(painter, x, seed=1))
    assert not torch.equal(target, painted(painter, x, prompt="a mosaic"))
    assert not torch.equal(target, painted(painter, 1 - x))


def test_a_distilled_model_takes_few_steps_and_no_guidance(studio: Path) -> None:
    patient, brisk = (Painter(studio / name).painting for name in ("sd", "xl-turbo"))
    assert brisk.taken < patient.taken
    assert brisk.guidance == 0 < patient.guidance


@pytest.mark.parametrize(("height", "width"), [(512, 512), (64, 64), (4000, 3000), (200, 1), (32, 9000), (70, 50)])
def test_models_paint_in_about_their_own_area_and_in_whole_blocks(height: int, width: int) -> None:
    rows, columns = diffusion._size(height, width, 512)
    assert rows % GRID == columns % GRID == 0 < min(rows, columns)
    assert max(rows, columns) <= 2 * 512
    assert (rows > columns) == (height > width)
    if max(height, width) < 4 * min(height, width):
        assert rows * columns == pytest.approx(512**2, rel=0.15)


@pytest.mark.parametrize(("height", "width"), [(32, 300), (130, 33), (SIDE, SIDE)])
def test_any_size_can_be_painted(studio: Path, height: int, width: int) -> None:
    assert painted(Painter(studio / "xl-turbo"), waves(height, width)).shape == (1, 3, height, width)


def test_a_folder_of_half_precision_files_is_used(studio: Path) -> None:
    whole = Painter(studio / "sd")
    half = Painter(stable_diffusion(studio / "half", variant="fp16"))
    try:
        assert (whole.variant, half.variant) == (None, "fp16")
        assert half.sizes(torch.float32) == whole.sizes(torch.float32)
        torch.testing.assert_close(painted(half, waves(40, 40)), painted(whole, waves(40, 40)))
    finally:
        shutil.rmtree(half.folder)


# ---- who paints ------------------------------------------------------------------------------


def chosen(name: str, hurry: bool = False, compute: Compute | None = None) -> str:
    painter = painters.choose(name, hurry, compute or Compute())
    return painter.name if painter else EMBEDDED


CARD = Device("cuda", "float16")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes believe that CARD has so many bytes free: there is none here."""

    def has(free: int) -> None:
        monkeypatch.setattr(painters, "free_on_card", lambda device: free if device == CARD else None)
        monkeypatch.setattr(diffusion, "free_on_card", painters.free_on_card)

    return has


def test_a_card_takes_the_first_model_and_a_processor_a_quick_one(studio: Path, card: Callable[[int], None]) -> None:
    card(8 << 30)
    assert list(painters.painters()) == ["sd", "xl-turbo"]
    assert chosen("auto", compute=Compute(CARD)) == chosen("auto", hurry=True, compute=Compute(CARD)) == "sd"
    assert chosen("auto") == "xl-turbo"
    assert chosen("auto", hurry=True) == EMBEDDED


def test_a_painter_that_is_named_paints(studio: Path) -> None:
    assert [chosen(name, hurry=True) for name in ("sd", "xl-turbo", EMBEDDED)] == ["sd", "xl-turbo", EMBEDDED]


def test_an_unknown_painter_is_refused_and_the_known_ones_named(studio: Path) -> None:
    with refusal("unknown_painter") as caught:
        chosen("rembrandt")
    assert all(name in caught.value.remedy for name in (EMBEDDED, "sd", "xl-turbo"))


def test_where_memory_is_short_a_small_network_paints_and_the_job_says_so(
    studio: Path, card: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_card, on_cpu = Compute(CARD), Compute()
    card(1 << 20)
    assert chosen("auto", compute=on_card) == EMBEDDED
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100_000))
    assert chosen("auto", compute=on_cpu) == EMBEDDED
    assert on_card.notes == on_cpu.notes == [painters.NO_ROOM]


def test_without_a_model_there_is_nothing_to_say(home: Path) -> None:
    compute = Compute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLAZE_HOME", str(home / "nowhere"))
        assert chosen("auto", compute=compute) == EMBEDDED
    assert compute.notes == []


def test_the_sizes_of_a_model_are_those_that_it_has_when_loaded(studio: Path) -> None:
    painter = Painter(studio / "xl-turbo")
    pipeline = diffusion._pipeline(painter, torch.float32)
    assert sorted(painter.sizes(torch.float32)) == sorted(diffusion._sizes(pipeline))
    assert sum(painter.sizes(torch.float16)) * 2 == sum(painter.sizes(torch.float32))
    assert painter.side == SIDE == pipeline.unet.config.sample_size * pipeline.vae_scale_factor


def test_a_card_without_room_for_a_whole_model_gets_one_network_at_a_time(
    studio: Path, card: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, x = Painter(studio / "xl-turbo"), waves(64, 64)
    pipeline = diffusion._pipeline(painter, torch.float32)
    whole = painted(painter, x)
    used: list[str] = []
    offload = type(pipeline).enable_model_cpu_offload
    monkeypatch.setattr(type(pipeline), "to", lambda _, device, **__: used.append(device))
    monkeypatch.setattr(type(pipeline), "enable_model_cpu_offload", lambda _, device: used.append(f"{device} in turns"))
    for free in (painters.resident_bytes(diffusion._sizes(pipeline), SIDE), 0):
        card(free)
        diffusion._place(pipeline, CARD, SIDE)
    assert used == ["cuda", "cuda in turns"]
    monkeypatch.undo()
    monkeypatch.setattr(diffusion, "_place", lambda pipeline, *_: offload(pipeline, device="cpu"))
    assert torch.equal(painted(painter, x), whole)
    monkeypatch.undo()
    assert torch.equal(painted(painter, x), whole)


# ---- in a job --------------------------------------------------------------------------------


def protect(picture: bytes, reporter: Recorder, **settings: Any) -> tasks.Result:
    settings = {"quality": "preview", "style": "etching", "strength": 0, "want_target": True, **settings}
    return tasks.run("protect", {"picture": Input(picture)}, settings, reporter)


@pytest.fixture(scope="module")
def picture(piece: Piece) -> bytes:
    return file_bytes(piece(48, 40))


def test_a_job_is_cloaked_towards_what_the_model_painted_and_measured_by_it(studio: Path, picture: bytes) -> None:
    reporter = Recorder()
    made = protect(picture, reporter, painter="xl-turbo", strength=1)
    figures = made.report
    assert (figures["painter"], figures["notes"]) == ("xl-turbo", [])
    assert figures["targeted_shift"]["embedded"] > figures["noise_control"]["targeted_shift"]["embedded"]
    assert reporter.steps == sorted(reporter.steps)
    assert reporter.steps[-1] == reporter.totals[-1]
    assert reporter.stages.count("painting the target") > Painter(studio / "xl-turbo").painting.taken

    pair = {"clean": Input(picture), "cloaked": Input(made.parts["result"].data)}
    measured = tasks.run("measure", pair, {"style": "etching", "painter": "xl-turbo"}, Recorder()).report
    assert measured["painter"] == "xl-turbo"
    assert measured["targeted_shift"] == figures["targeted_shift"]


def test_a_job_that_made_way_is_not_painted_again(studio: Path, picture: bytes, tmp_path: Path) -> None:
    settings = {"quality": "preview", "style": "etching", "painter": "sd", "want_target": True}

    def run(reporter: Recorder) -> tasks.Result:
        return tasks.run("protect", {"picture": Input(picture)}, settings, reporter, tmp_path / "checkpoint")

    begun = Painter(studio / "sd").painting.taken + 4
    first, second = Recorder(begun, Paused()), Recorder()
    with pytest.raises(Paused):
        run(first)
    assert first.stages[-1] == "cloaking"
    resumed = run(second)
    assert resumed.report["painter"] == "sd"
    assert second.stages.count("painting the target") == 1
    assert resumed.parts["target"].data == protect(picture, Recorder(), painter="sd").parts["target"].data


@pytest.mark.parametrize("step", [1, 5])
def test_a_job_can_be_cancelled_between_two_steps_of_the_model(studio: Path, picture: bytes, step: int) -> None:
    before = 1  # "painting the target"
    reporter = Recorder(stop_at=before + step)
    with pytest.raises(Cancelled):
        protect(picture, reporter, painter="sd")
    assert reporter.stages[-1] == "painting the target"
    assert reporter.steps[-1] == step
    assert protect(picture, Recorder(), painter="sd").report["painter"] == "sd"


def test_no_model_is_looked_for_outside_this_computer(
    studio: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a job opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    diffusion._pipeline.cache_clear()
    for name in ("sd", "xl-turbo"):
        assert protect(picture, Recorder(), painter=name).report["painter"] == name


# ---- faults ----------------------------------------------------------------------------------


def without_weights(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def with_half_a_file(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def with_a_pickle(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()


def without_a_part(folder: Path) -> None:
    shutil.rmtree(folder / "text_encoder")


def with_an_index_that_is_no_json(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")


def with_code_of_its_own(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["evil", "Network"]}))
    (folder / "unet" / "evil.py").write_text("raise SystemExit('this ran')")


def of_another_kind(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "AudioLDMPipeline"}))


@pytest.mark.parametrize(
    "spoil",
    [
        without_weights,
        with_half_a_file,
        with_a_pickle,
        without_a_part,
        with_an_index_that_is_no_json,
        with_code_of_its_own,
        of_another_kind,
    ],
)
def test_a_model_that_cannot_be_used_is_said_in_one_sentence(
    broken: Path, picture: bytes, spoil: Callable[[Path], None]
) -> None:
    spoil(broken)
    with refusal("broken_weights", GlazeError) as caught:
        protect(picture, Recorder(), painter=broken.name)
    assert broken.name in caught.value.sentence
    assert str(broken.parent) in caught.value.remedy


def test_a_model_without_usable_numbers_leaves_it_to_the_small_network(broken: Path, picture: bytes) -> None:
    file = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["conv_out.bias"][0] = float("nan")
    save_file(weights, file)
    result = protect(picture, Recorder(), painter=broken.name)
    assert result.report["painter"] == EMBEDDED
    assert len(result.report["notes"]) == 1 and "no usable numbers" in result.report["notes"][0]
    assert result.parts["target"].data == protect(picture, Recorder(), painter=EMBEDDED).parts["target"].data


def test_a_model_that_runs_out_of_memory_leaves_it_to_the_small_network(
    studio: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(AutoencoderKL, "decode", no_memory)
    result = protect(picture, Recorder(), painter="sd")
    assert result.report["painter"] == EMBEDDED
    assert len(result.report["notes"]) == 1 and "ran out of memory" in result.report["notes"][0]


def test_diffusers_is_not_imported_before_it_is_used() -> None:
    for file in Path(diffusion.__file__).parent.glob("*.py"):
        at_once = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if hasattr(node, "names")]
        names = {str(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in at_once}
        assert not names & {"diffusers", "transformers", "accelerate"}, file
