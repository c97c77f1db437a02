"""What is said of a cloak: measured numbers alone, what was not measured, and what is known to defeat cloaks."""

from __future__ import annotations

from typing import Any

import pytest

from glaze_plugin.figures import reviewed, statement
from glaze_plugin.languages import ENGLISH, GERMAN, JAPANESE
from glaze_plugin.texts import Texts
from glaze_server.engine.survival import TRANSFORMS

FIGURES: dict[str, Any] = {
    "targeted_shift": {"one": 0.41, "two": 0.52},
    "survival": {"half": {"one": 0.13, "two": 0.34}, "jpeg75": {"one": 0.25, "two": -0.06}},
    "noise_control": {"targeted_shift": {"one": 0.07, "two": 0.08}, "survival": {}},
    "at_opacity": {
        "50": {"targeted_shift": 0.22, "lpips": 0.011, "max_change": 6 / 255},
        "100": {"targeted_shift": 0.47, "lpips": 0.043, "max_change": 12 / 255},
    },
    "notes": ["It was computed in tiles."],
}
WEAKER: dict[str, Any] = {**FIGURES, "targeted_shift": {"one": 0.36, "two": 0.37}}
ATTACKS = ("IMPRESS", "DiffPure", "GrIDPure", "LightShed")

tr = Texts({}, lambda: "en").tr


def test_the_statement_tells_each_models_shift_its_worst_survival_and_the_noise() -> None:
    said = statement(FIGURES)
    one, two = said.index("“one”"), said.index("“two”")
    assert all(words in said[one:two] for words in ("0.41", "0.13 after halving", "0.07"))
    assert all(words in said[two:] for words in ("0.52", "-0.06 after JPEG at quality 75", "0.08"))
    assert not any(words in said for words in ("0.34", "0.25", "rotected"))
    assert "Nothing was measured against other models" in said
    assert all(attack in said for attack in (*ATTACKS, "upscaling"))


@pytest.mark.parametrize("language", ["de", "ja"])
def test_it_tells_the_same_in_every_language(language: str) -> None:
    said = statement(FIGURES, Texts({}, lambda: language).tr)
    assert all(said.count(number) == 1 for number in ("0.41", "0.13", "0.07", "0.52", "-0.06", "0.08"))
    assert all(attack in said for attack in ATTACKS)
    assert "after" not in said and "moved" not in said


@pytest.mark.parametrize("language", ["en", "de", "ja"])
def test_it_tells_at_which_size_a_large_picture_was_measured(language: str) -> None:
    tr = Texts({}, lambda: language).tr
    assert "px" not in statement(FIGURES | {"trained": None}, tr)
    assert statement(FIGURES | {"trained": [1182, 887]}, tr).count("1182×887 px") == 1


def test_every_transform_has_words_in_every_language() -> None:
    keys = {f"after {name}" for name in TRANSFORMS}
    assert all(keys == {key for key in table if key.startswith("after ")} for table in (ENGLISH, GERMAN, JAPANESE))


def test_without_a_target_only_visibility_is_stated() -> None:
    assert statement({"lpips": {"alex": 0.0, "vgg": 0.0}}) == "Only visibility was measured."


def test_in_review_the_figures_are_those_at_the_nearest_measured_opacity() -> None:
    whole, said, note = reviewed([("Layer", FIGURES)], 90, tr)
    assert whole == "At 100 % opacity: shift 0.47, LPIPS 0.043, largest change 12 of 255."
    assert said == statement(FIGURES)
    assert note == "It was computed in tiles."
    half, said, _ = reviewed([("Layer", FIGURES)], 60, tr)
    assert half == "At 50 % opacity: shift 0.22, LPIPS 0.011, largest change 6 of 255."
    assert said == f"At 100 % opacity: {statement(FIGURES)}"


def test_of_several_layers_the_one_that_moved_least_is_stated() -> None:
    upper, lower, said, *notes = reviewed([("Upper", FIGURES), ("Lower", WEAKER)], 100, tr)
    assert upper.startswith("Upper: At 100 %") and lower.startswith("Lower: At 100 %")
    assert said == f"Lower: {statement(WEAKER)}"
    assert notes == FIGURES["notes"]
