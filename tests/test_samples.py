"""Differences carried onto deeper samples, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glaze_plugin.raster import RasterFormat
from glaze_plugin.samples import SAMPLE_BYTES, moved, opaque

KINDS = {"u8": "u1", "u16": "<u2", "u32": "<u4", "half": "<f2", "float": "<f4", "double": "<f8"}


def three(depth: str, seed: int) -> list[NDArray[Any]]:
    """own, before and after: random, with the ends of the range among them, and every third sample unchanged."""
    rng, kind = np.random.default_rng(seed), np.dtype(KINDS[depth])
    if kind.kind == "u":
        top = np.iinfo(kind).max
        made = [rng.integers(0, top, 300, kind, endpoint=True) for _ in range(3)]
        for one in made:
            one[rng.integers(0, 300, 60)] = 0
            one[rng.integers(0, 300, 60)] = top
    else:
        made = [rng.normal(0, 4, 300).astype(kind) for _ in range(3)]
    made[2][::3] = made[1][::3]
    return made


@pytest.mark.parametrize("depth", SAMPLE_BYTES)
@given(seed=st.integers(0, 1000))
def test_a_difference_is_carried_over(depth: str, seed: int) -> None:
    own, before, after = three(depth, seed)
    found = np.frombuffer(moved(own.tobytes(), before.tobytes(), after.tobytes(), depth), own.dtype)
    assert (found[::3] == own[::3]).all()
    if own.dtype.kind == "u":
        wide = own.astype(np.int64) + after.astype(np.int64) - before.astype(np.int64)
        assert (found == wide.clip(0, np.iinfo(own.dtype).max)).all()
    else:
        exact = own.astype(np.float64) + (after.astype(np.float64) - before.astype(np.float64))
        assert found == pytest.approx(exact, rel=2e-3 if depth == "half" else 1e-5, abs=1e-3)


@pytest.mark.parametrize("depth", ["half", "float", "double"])
def test_light_without_bounds_stays(depth: str) -> None:
    kind = KINDS[depth]
    own = np.array([np.inf, -np.inf, -0.0, 65000.0], kind)
    before, after = np.zeros(4, kind), np.array([0.0, 0.5, 0.0, 60000.0], kind)
    found = np.frombuffer(moved(own.tobytes(), before.tobytes(), after.tobytes(), depth), kind)
    assert list(found[:3]) == [np.inf, -np.inf, 0.0] and np.signbit(found[2])
    assert found[3] == (65504 if depth == "half" else 125000)


@pytest.mark.parametrize(
    ("channels", "depth", "samples", "expected"),
    [
        ("RGB", "u8", bytes(6), True),
        ("RGBA", "u8", b"\0\0\0\xff" * 2, True),
        ("RGBA", "u8", b"\0\0\0\xff\0\0\0\xfe", False),
        ("GA", "u16", b"\0\0\xff\xff" * 2, True),
        ("GA", "u16", b"\0\0\xff\xff\0\0\xfe\xff", False),
    ],
)
def test_what_is_opaque(channels: str, depth: str, samples: bytes, expected: bool) -> None:
    assert opaque(samples, RasterFormat(2, 1, channels, depth)) is expected
