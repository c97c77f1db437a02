"""For any picture, any mask and any strength: what is not cloaked keeps its bits, what is stays within the cap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import imagecodecs
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glaze_server.engine import formats
from glaze_server.engine.colour import AS_SRGB, NOISE
from glaze_server.engine.formats import PictureFile
from tests.corpus import cases, modern, profiles, readers
from tests.corpus.cases import Samples

CAP = 16 / 255
FLOAT32 = 4 * float(np.finfo(np.float32).eps)
DTYPES = {"PNG": ("u1", "u2"), "JXL": ("u1", "u2", "f2", "f4"), "TIFF": ("u1", "u2", "f2", "f4")}

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
sides = st.integers(1, 300)


@dataclass(frozen=True, repr=False)
class Made:
    """A lossless file. name: how it was made."""

    name: str
    data: bytes
    samples: Samples
    model: str
    container: str

    def __repr__(self) -> str:
        return self.name


@st.composite
def files(draw: st.DrawFn) -> Made:
    container = draw(st.sampled_from(sorted(DTYPES)))
    model = draw(st.sampled_from(["G", "GA", "RGB", "RGBA", *(["CMYK", "Lab"] if container == "TIFF" else [])]))
    dtype = draw(st.sampled_from([d for d in DTYPES[container] if model not in ("CMYK", "Lab") or d in ("u1", "u2")]))
    height, width, seed = draw(sides), draw(sides), draw(st.integers(0, 99))
    samples = cases.painted(model, dtype, height, width, seed)
    tables = {"G": profiles.GRAY, "R": profiles.RGB, "C": profiles.CMYK, "L": {"none": b""}}
    which = draw(st.sampled_from(sorted(tables[model[0]])))
    profile, name = tables[model[0]][which], f"{container} {model} {dtype} {which} {height}x{width} {seed}"
    if container == "PNG":
        data = cases.png(samples, cases.COLOURS[model], *cases.icc(profile))
        return Made(name, data, samples, model, container)
    if container == "JXL":
        if model[0] == "G":  # which JPEG XL has no profiles for
            planes = samples if model == "GA" else samples[..., 0]
            return Made(name, bytes(imagecodecs.jpegxl_encode(planes, lossless=True)), samples, model, container)
        samples = modern.at_least_0(samples)
        return Made(name, modern.jxl(samples, profile), samples, model, container)
    options = {"iccprofile": profile} if profile else {}
    data = cases.tiff(samples, model, compression=draw(st.sampled_from([None, "lzw", "zlib"])), **options)
    return Made(name, data, samples, model, container)


def read(data: bytes, made: Made) -> Samples:
    if made.container == "PNG":
        return readers.png(data)
    if made.container == "JXL":
        return readers.jxl(data)
    return readers.inks(data) if made.model == "CMYK" else readers.tiff(data)


def cloaked(file: PictureFile, mask: Samples, strength: float, seed: int) -> tuple[bytes, Samples]:
    """The file with a random δ of at most strength · CAP inside the mask, and that δ."""
    shape = file.pages[0].seen.shape
    delta = np.random.default_rng(seed).uniform(-CAP, CAP, shape).astype(np.float32) * np.float32(strength) * mask
    return formats.encode(file, [file.pages[0].changed(delta)]), delta


@given(files(), st.integers(0, 99))
@quick
def test_strength_0_gives_the_same_samples(made: Made, seed: int) -> None:
    samples = made.samples
    file = formats.decode(made.data)
    written, _ = cloaked(file, np.float32(1), 0.0, seed)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read(written, made), samples)


@given(files(), st.floats(0.05, 1), st.integers(0, 99))
@quick
def test_a_cloak_stays_within_its_cap_and_its_mask(made: Made, strength: float, seed: int) -> None:
    samples, model = made.samples, made.model
    file = formats.decode(made.data)
    mask = (np.random.default_rng(seed + 1).random(samples.shape[:2]) < 0.5)[..., None].astype(np.float32)
    written, delta = cloaked(file, mask, strength, seed)
    back = read(written, made)
    assert back.dtype == samples.dtype and back.shape == samples.shape
    outside = ~(delta != 0).any(-1)
    if model.endswith("A"):
        np.testing.assert_array_equal(back[..., -1], samples[..., -1])
        outside |= samples[..., -1] == 0
    np.testing.assert_array_equal(back[outside], samples[outside])
    # what the samples would be if they had no steps is seen no more changed than the cap; they are half a step from it
    picture, limit = file.pages[0], CAP * strength
    exact = replace(picture, samples=samples.astype(np.float32) / np.float32(picture.top))
    ideal = exact.changed(delta)
    assert np.abs(ideal.seen - exact.seen).max() <= limit + NOISE + 1e-6
    unrounded = ideal.samples.astype(float) * picture.top
    step = np.ones_like(unrounded) if picture.integers else np.spacing(np.abs(back).astype(samples.dtype)).astype(float)
    if made.container == "JXL" and not picture.integers:  # libjxl does not keep subnormal numbers exactly
        step = np.maximum(step, 2 * float(np.finfo(samples.dtype).smallest_normal))
    stored = np.clip(unrounded, 0, picture.top) if picture.integers else unrounded
    if made.container == "JXL" and back.dtype == np.float32 and model.startswith("RGB"):
        stored = np.maximum(stored, 0)
    assert (np.abs(back.astype(float) - stored) <= step * 0.5001 + np.abs(unrounded) * FLOAT32).all()
    if picture.space is AS_SRGB and picture.integers:
        assert np.abs(back.astype(float) - samples).max() <= np.ceil(limit * picture.top)
