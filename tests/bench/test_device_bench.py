"""bench.device measures what it says, on the smallest pictures, and writes it down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import device
from glaze_server.engine.device import Device


def test_it_prints_a_table_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(device.MATMUL_SIDES, "cpu", (256,))
    arguments = ["--encoders", "taesana", "embedded", "--sizes", "64", "96", "--half", "float32", "--commit", "abc"]
    assert device.main([*arguments, "--out", str(tmp_path / "new")]) == 0
    table = json.loads((tmp_path / "new" / "device.json").read_text())
    assert (table["commit"], table["precision"], table["left_out"]) == ("abc", "float32", [])
    rows = {(row["encoder"], row["side"]): row for row in table["rows"]}
    assert set(rows) == {(name, side) for name in ("taesana", "embedded") for side in (64, 96)}
    for row in rows.values():
        assert row["share"] == pytest.approx(row["flop"] / row["seconds"] / table["matmul_peak"])
    assert rows["embedded", 96]["flop"] == pytest.approx(rows["embedded", 64]["flop"] * (96 / 64) ** 2)
    assert capsys.readouterr().out.count("embedded") == 2


def test_when_the_time_is_over_it_says_what_is_left_out() -> None:
    said = list(device.rows(["embedded"], [64, 1024], Device(), 1e9, 0.0, False))
    assert said == [
        "embedded at 64 px: no time left.",
        "embedded at 1024 px: no time left.",
        f"embedded at 1024 px, tiles of {device.TILE} px: no time left.",
    ]


def test_an_unknown_encoder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert device.main(["--encoders", "sd99"]) == 2
    assert "sd99" in capsys.readouterr().err
