"""An interrupted run goes on; whatever a cell depends on makes it a new one."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from bench.cloakbench import cells, corpus, peers, rounds
from bench.cloakbench.cells import BUDGET, PUBLISHED, TIME, TRACKS, Cell, Store, finite
from bench.cloakbench.methods import STANDARD, Method
from bench.cloakbench.purifiers import Purifier
from bench.cloakbench.rounds import Bench, run
from bench.cloakbench.scene import Picture, Scene
from bench.cloakbench.task import Task
from glaze_plugin import places
from glaze_server.engine.device import CPU
from glaze_server.engine.encoders import Encoder
from glaze_server.engine.survival import TRANSFORMS, unchanged
from tests.bench.conftest import scene
from tests.engine.conftest import refusal

PICTURES = [scene(kind).picture for kind in ("colour", "gray")]


class Counted:
    """A method's function that counts its runs on each picture, and fails once it has been run `most` times."""

    def __init__(self, function: Callable[[Task], Tensor], most: float = math.inf) -> None:
        self.runs: Counter[str] = Counter()
        self._function = function
        self._most = most

    def __call__(self, task: Task) -> Tensor:
        if self.runs.total() >= self._most:
            raise KeyboardInterrupt
        self.runs[task.scene.picture.name] += 1
        return self._function(task)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets without the transfer network, and no more transforms than S needs."""

    def generated(picture: Picture, number: int) -> Scene:
        return Scene(picture, number, f"style {number}", scene(number=number).target)

    monkeypatch.setattr(corpus, "scene", generated)
    monkeypatch.setattr(rounds, "EVERYTHING", {"none": unchanged} | TRANSFORMS)


@pytest.fixture
def bench(embedded: Encoder, tmp_path: Path) -> Callable[[], Bench]:
    """A new one on the same folder, as a new process has it."""
    return lambda: Bench(embedded, [embedded], {}, CPU, tmp_path)


def silent(_: str) -> None:
    """Told nothing."""


def test_an_interrupted_run_goes_on_where_it_was(bench: Callable[[], Bench]) -> None:
    def methods(most: float) -> tuple[list[Method], list[Counted]]:
        functions = [Counted(peers.blend), Counted(peers.noise, most)]
        return [
            Method(STANDARD, "blend", functions[0], own=True),
            Method("noise", "noise", functions[1], targeted=False),
        ], functions

    begun, first = methods(most=1)
    with pytest.raises(KeyboardInterrupt):
        run(bench(), PICTURES, 2, begun, None, silent)
    assert [one.runs.total() for one in first] == [2, 1]
    ended, second = methods(most=math.inf)
    found, complete = run(bench(), PICTURES, 2, ended, None, silent)
    assert complete
    assert [one.runs.total() for one in second] == [2, 1]  # the targets that were missing, and the second picture
    assert len(found) == len(PICTURES) * 2 * 2 * len(TRACKS)
    third, idle = methods(most=0)
    assert run(bench(), PICTURES, 2, third, None, silent) == (found, True)
    assert not idle[0].runs


def test_a_method_that_ignores_the_target_is_run_once_for_a_picture(bench: Callable[[], Bench]) -> None:
    once = Counted(peers.noise)
    methods = [Method(STANDARD, "blend", peers.blend), Method("noise", "noise", once, targeted=False)]
    found, _ = run(bench(), PICTURES[:1], 2, methods, None, silent)
    assert once.runs.total() == 1
    assert len({cell.white["none"] for cell in found if cell.method == "noise" and cell.track == PUBLISHED}) == 2


def test_first_targets_come_first_and_pictures_take_turns() -> None:
    turns = [(one.number, one.picture.name) for one in rounds.order(PICTURES, 2)]
    assert turns == [(number, picture.name) for number in (0, 1) for picture in PICTURES]


def test_time_that_is_over_ends_the_run_cleanly(bench: Callable[[], Bench]) -> None:
    methods = [Method(STANDARD, "blend", peers.blend)]
    assert run(bench(), PICTURES, 1, methods, 0.0, silent) == ([], False)


def test_cells_that_are_there_are_taken_when_the_time_is_over(bench: Callable[[], Bench]) -> None:
    methods = [Method(STANDARD, "blend", peers.blend)]
    found, _ = run(bench(), PICTURES[:1], 1, methods, None, silent)
    assert run(bench(), PICTURES, 1, methods, 0.0, silent) == (found, False)


def test_processes_share_a_run_and_one_without_a_part_finds_what_all_have_found(
    embedded: Encoder, tmp_path: Path, bench: Callable[[], Bench]
) -> None:
    methods = [Method(STANDARD, "blend", peers.blend)]
    parts = [Bench(embedded, [embedded], {}, CPU, tmp_path, part) for part in ("1of2", "2of2")]
    shares = [run(part, [picture], 1, methods, None, silent)[0] for part, picture in zip(parts, PICTURES, strict=True)]
    assert run(bench(), PICTURES, 1, methods, 0.0, silent) == ([*shares[0], *shares[1]], True)


def test_what_is_missing_when_the_time_is_over_hides_nothing_after_it(bench: Callable[[], Bench]) -> None:
    methods = [Method(STANDARD, "blend", peers.blend)]
    found, _ = run(bench(), PICTURES[1:], 1, methods, None, silent)
    assert run(bench(), PICTURES, 1, methods, 0.0, silent) == (found, False)


def test_cells_say_what_was_measured(bench: Callable[[], Bench]) -> None:
    methods = [Method(STANDARD, "blend", peers.blend), Method("identity", "nothing", peers.identity)]
    found, _ = run(bench(), PICTURES[:1], 1, methods, None, silent)
    by_name = {(cell.method, cell.track): cell for cell in found}
    assert set(by_name) == {(method.name, track) for method in methods for track in TRACKS}
    blended = by_name[STANDARD, BUDGET]
    assert set(blended.white) == set(rounds.EVERYTHING)
    assert blended.visibility["max_change"] is not None and blended.visibility["flip"] is not None
    assert blended.white["none"] > 0.01
    nothing = by_name["identity", BUDGET]
    assert set(nothing.white.values()) == {0.0}
    assert nothing.visibility["psnr"] is None and nothing.visibility["flip"] == 0


def test_in_equal_time_a_method_is_stopped_when_the_standard_was_done(bench: Callable[[], Bench]) -> None:
    methods = [Method(STANDARD, "blend", peers.blend), Method("mist", "mist", peers.mist)]
    found, _ = run(bench(), PICTURES[:1], 1, methods, None, silent)
    tracks = {cell.track: cell for cell in found if cell.method == "mist"}
    assert tracks[TIME].white != tracks[BUDGET].white
    assert tracks[TIME].iterations == peers.MIST_ITERATIONS


def test_changed_code_or_another_side_makes_new_cells(
    bench: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(peers.blend)
    methods = [Method(STANDARD, "blend", counted)]
    for _ in range(2):
        run(bench(), PICTURES[:1], 1, methods, None, silent)
    assert counted.runs.total() == 1
    monkeypatch.setattr(rounds, "code_of", lambda own: "other")
    run(bench(), PICTURES[:1], 1, methods, None, silent)
    assert counted.runs.total() == 2


def test_another_model_behind_a_purifier_makes_new_cells(embedded: Encoder, tmp_path: Path) -> None:
    counted = Counted(peers.blend)
    methods = [Method(STANDARD, "blend", counted)]
    for runs, model in ((1, "large"), (1, "large"), (2, "small")):
        bench = Bench(embedded, [embedded], {"upscaled": Purifier(model, unchanged)}, CPU, tmp_path)
        found, _ = run(bench, PICTURES[:1], 1, methods, None, silent)
        assert counted.runs.total() == runs
        assert all("upscaled" in cell.white for cell in found)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_encoder_of_the_artists_own_is_known_by_its_weights(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    weights = places.models() / ("mine/model.safetensors" if kind == "folder" else "mine.safetensors")
    weights.parent.mkdir(parents=True)
    (weights.parent / "config.json").write_text("{}")
    weights.write_bytes(b"first")
    first = rounds.weights_of("mine")
    weights.write_bytes(b"other")
    assert first and rounds.weights_of("mine") not in ("", first)
    assert rounds.weights_of("taef2") == ""
    with refusal("unknown_encoder"):
        rounds.weights_of("nobody's")


def test_a_faster_engine_leaves_a_peers_other_tracks_as_they_are(
    bench: Callable[[], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tracks(own_code: str) -> dict[str, Cell]:
        monkeypatch.setattr(rounds, "code_of", lambda own: own_code if own else "peers")
        methods = [Method(STANDARD, "blend", peers.blend, own=True), Method("mist", "mist", peers.mist)]
        found, _ = run(bench(), PICTURES[:1], 1, methods, None, silent)
        return {cell.track: cell for cell in found if cell.method == "mist"}

    before, after = tracks("slow"), tracks("fast")
    assert set(before) == set(after) == set(TRACKS)
    assert before[PUBLISHED] == after[PUBLISHED] and before[BUDGET] == after[BUDGET]
    assert before[TIME].key != after[TIME].key
    assert tracks("fast") == after


def test_the_code_of_a_peer_leaves_this_engines_optimiser_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("engine", "mimicry"):
        shutil.copytree(cells.SERVER / room, tmp_path / room, ignore=shutil.ignore_patterns("*.safetensors", "*.pth"))
    monkeypatch.setattr(cells, "SERVER", tmp_path)
    before = {own: cells.code_of(own) for own in (True, False)}
    (tmp_path / "engine/cloak.py").write_text("# changed")
    assert cells.code_of(own=False) == before[False]
    assert cells.code_of(own=True) != before[True]
    for name in ("engine/budget", "engine/scielab", "engine/pulled", "engine/formats/vips", "mimicry/upscaling"):
        before = {own: cells.code_of(own) for own in (True, False)}
        (tmp_path / f"{name}.py").write_text("# changed")
        assert all(cells.code_of(own) != before[own] for own in (True, False))


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    cell = Cell("a", "noise", "waves", "flat", 0, "crayon", BUDGET, "embedded", {}, finite({"psnr": math.inf}), 1, 0.5)
    Store(tmp_path).add([cell])
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"key": "b", "meth')
    store = Store(tmp_path)
    assert store.get("a") == cell
    assert store.get("b") is None
