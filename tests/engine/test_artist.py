"""All works of an artist are drawn towards one style, which is kept where this user alone can read it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from glaze_plugin import places
from glaze_server.engine import aim, artist, choice, styles, tasks
from glaze_server.engine.artist import FIRST, LEARNED, SET, Artist
from glaze_server.engine.device import Compute
from glaze_server.engine.progress import Paused
from glaze_server.engine.settings import Settings
from glaze_server.engine.source import Input
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, Recorder, nothing, refusal

FAR = {name: 1.0 + number for number, name in enumerate(styles.STYLES)}
BAND = styles.STYLES[13:19]
"""Those of FAR between the percentiles."""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is kept yet."""
    monkeypatch.setenv("GLAZE_HOME", str(tmp_path))
    return tmp_path


def ask(**settings: Any) -> dict[str, Any]:
    return tasks.run("style", {}, settings, Recorder()).report


def test_what_is_kept_is_read_back_and_nobody_else_can_read_it() -> None:
    one = Artist("fauve", LEARNED, 7, FAR)
    artist.keep(one)
    assert artist.known() == one
    assert stat.S_IMODE(places.artist().stat().st_mode) == 0o600
    assert stat.S_IMODE(places.artist().parent.stat().st_mode) == 0o700
    assert list(places.artist().parent.iterdir()) == [places.artist()]
    artist.forget()
    artist.forget()
    assert artist.known() is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"style": "fauve"}', "[" * 100_000]
    + [json.dumps({"style": "fauve", "chosen": SET, "pictures": 0, "distances": bad}) for bad in (5, {"fauve": "far"})]
    + [json.dumps({"style": "of an older version", "chosen": SET, "pictures": 0, "distances": {}})],
    ids=lambda content: str(content)[:20],
)
def test_a_file_that_cannot_be_used_counts_as_none(content: str) -> None:
    artist.keep(Artist("fauve", SET))
    places.artist().write_text(content)
    assert artist.known() is None


# ---- the choice ------------------------------------------------------------------------------


def test_a_target_is_drawn_by_distances_from_the_band() -> None:
    drawn = set()
    for seed in range(30):
        kept = ask(change=True, distances=dict(reversed(FAR.items())), pictures=3, seed=seed)["artist"]
        assert (kept["chosen"], kept["pictures"], kept["distances"]) == (LEARNED, 3, FAR)
        drawn.add(kept["style"])
    assert drawn <= set(BAND)
    assert len(drawn) > 3


def test_a_style_can_be_set_and_forgotten_and_what_was_learned_stays_until_then() -> None:
    ask(change=True, distances=FAR, pictures=3)
    kept = ask(change=True, style="impasto")["artist"]
    assert (kept["style"], kept["chosen"], kept["distances"]) == ("impasto", SET, FAR)
    assert ask()["artist"] == kept
    assert ask(change=True)["artist"] is None


def test_asking_lists_every_style_with_what_it_looks_like() -> None:
    report = ask()
    assert list(report["styles"]) == list(styles.STYLES)
    assert len(set(report["styles"].values())) == len(styles.STYLES)
    assert report["painters"] == ["embedded"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"style": "fauves"}, "unknown_style"),
        ({"distances": {"fauve": 1.0}}, "settings"),
        ({"distances": FAR | {"fauve": -1.0}}, "settings"),
        ({"distances": FAR | {"fauve": float("nan")}}, "settings"),
        ({"distances": FAR | {"fauve": "1"}}, "settings"),
        ({"distances": [1.0] * 26}, "settings"),
        ({"pictures": "many"}, "settings"),
        ({"change": "yes"}, "settings"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(settings: dict[str, Any], code: str) -> None:
    artist.keep(Artist("dusk", SET))
    with refusal(code):
        ask(**{"change": True, **settings})
    assert artist.known() == Artist("dusk", SET)


def test_an_unknown_style_is_answered_with_those_that_are_called_alike() -> None:
    with refusal("unknown_style") as caught:
        ask(change=True, style="stary")
    assert caught.value.remedy.startswith("Did you mean starry")


# ---- in jobs ---------------------------------------------------------------------------------


def test_the_first_picture_chooses_by_its_distances_and_all_others_follow(
    piece: Piece, scene: Callable[[int, int], Tensor]
) -> None:
    reporter = Recorder()
    learned = tasks.run("learn", {"picture": Input(file_bytes(piece(48, 40)))}, {}, reporter).report["distances"]
    assert list(learned) == list(styles.STYLES)
    assert reporter.steps[-1] == reporter.totals[-1] == len(styles.STYLES)
    assert artist.known() is None

    ticks: list[int] = []
    style, chosen = aim.first(scene(40, 48), 3, lambda: ticks.append(1), Compute())
    assert style == choice.choose(list(learned.values()), 3)
    assert (chosen, len(ticks)) == (FIRST, aim.LOOKS)
    assert aim.style_of(Settings()) == (style, FIRST)
    assert aim.style_of(Settings(style="crayon")) == ("crayon", aim.NAMED)
    picture = Input(file_bytes(piece(40, 32).rotate(180)))
    report = tasks.run("protect", {"picture": picture}, {"strength": 0, "seed": 9}, Recorder()).report
    assert (report["style"], report["chosen"], report["painter"]) == (style, FIRST, "embedded")


@pytest.mark.parametrize("stop_at", [4, 12], ids=["before its first step", "in the middle"])
def test_a_job_that_made_way_goes_on_towards_its_own_style(piece: Piece, alone: Path, stop_at: int) -> None:
    def run(reporter: Recorder, checkpoint: str) -> tasks.Result:
        settings = {"quality": "preview", "painter": "auto", "want_target": True}
        return tasks.run(
            "protect", {"picture": Input(file_bytes(piece(40, 32)))}, settings, reporter, alone / checkpoint
        )

    artist.keep(Artist("etching", LEARNED))
    undisturbed = run(Recorder(), "one")
    with pytest.raises(Paused):
        run(Recorder(stop_at, Paused()), "two")
    artist.keep(Artist("weave", SET))
    resumed = run(Recorder(), "two")
    assert (resumed.report["style"], resumed.report["chosen"]) == ("etching", LEARNED)
    assert {name: part.data for name, part in resumed.parts.items()} == {
        name: part.data for name, part in undisturbed.parts.items()
    }


def test_a_style_that_cannot_be_kept_does_not_keep_a_picture_from_being_cloaked(
    scene: Callable[[int, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    places.artist().parent.write_text("a file in the folder's place")
    monkeypatch.setattr(choice, "distances", lambda *_: list(FAR.values()))  # tested above, and slow
    compute = Compute()
    style, _ = aim.first(scene(32, 32), 0, nothing, compute)
    assert style in BAND
    assert len(compute.notes) == 1 and str(places.artist().parent) in compute.notes[0]


def test_the_catalogue_names_every_network_once() -> None:
    assert [style.network for style in styles.CATALOGUE] == list(range(26))
    assert all(style.prompt for style in styles.CATALOGUE)
    low, high = np.quantile(list(FAR.values()), [choice.NEAR, choice.FAR])
    assert [name for name, far in FAR.items() if low <= far <= high] == list(BAND)
