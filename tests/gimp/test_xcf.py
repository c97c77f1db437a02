"""XCF documents, whose layers GIMP merges for the engine: made by GIMP, and compared with what it shows."""

from __future__ import annotations

import io
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from glaze_server.engine import formats
from glaze_server.engine.formats import PictureFile, xcf
from tests.conftest import ROOT, Glaze
from tests.engine.conftest import refusal
from tests.gimp.conftest import Gimp
from tests.gimp.harness.place import COMMAND, Place, environment

WIDTH, HEIGHT = 60, 40
WRAPPER = """#!/bin/sh
cd {here} && exec {command} /usr/bin/env -i {variables} "GIMP3_DIRECTORY=${{GIMP3_DIRECTORY#{root}}}" gimp-console "$@"
"""
"""GIMP sees the engine's temporary folder by another path where it has a root of its own."""
SHOWN = """
copy = image.duplicate()
if copy.get_base_type() == Gimp.ImageBaseType.INDEXED: copy.convert_rgb()
shown = Gimp.Layer.new_from_visible(copy, copy, "shown")
copy.insert_layer(shown, None, 0)
format = Babl.get_name(Babl.format_with_space(depth, Babl.format_get_space(shown.get_format()))) if depth else None
bytes(shown.get_buffer().get(area(shown), 1.0, format, Gegl.AbyssPolicy.NONE))
"""
SEEN = "bytes(shown.get_buffer().get(area(shown), 1.0, \"R'G'B' float\", Gegl.AbyssPolicy.NONE))"
"""What it shows of `shown`, as sRGB."""
SAVE = "Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(path), None)"

Document = Callable[[str], Path]


@pytest.fixture
def shared(place: Place, gimp: Gimp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The engine's temporary folder, and the GIMP that it starts."""
    wrapper = place / "gimp3"
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in environment(gimp.home).items())
    root = "" if place.root == Path("/") else place.root
    text = WRAPPER.format(here=shlex.quote(str(ROOT)), command=shlex.join(COMMAND), variables=variables, root=root)
    wrapper.outside.write_text(text)
    wrapper.outside.chmod(0o755)
    folder = (place / "temporary").outside
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv(xcf.VARIABLE, str(wrapper.outside))
    yield folder
    assert not list(folder.iterdir())
    folder.rmdir()


@pytest.fixture
def document(gimp: Gimp) -> Document:
    """Makes an XCF file by code for GIMP that leaves an `image`."""

    def make(code: str) -> Path:
        outside, inside = gimp.path("document.xcf")
        gimp.run(code)
        assert gimp.run(SAVE, path=inside)
        return outside

    return make


def shown(gimp: Gimp, dtype: str, depth: str | None = None) -> NDArray[Any]:
    """What GIMP shows of `image`, (H, W, C), with alpha. depth: to have it in another than its own."""
    return np.frombuffer(gimp.run(SHOWN, depth=depth), dtype).reshape(HEIGHT, WIDTH, -1)


def profile_name(file: PictureFile) -> str:
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(file.about.profile))).strip()


def light(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Linear light of sRGB's 8 bits."""
    units = samples.astype(np.float64) / 255
    return np.asarray(np.where(units <= 0.04045, units / 12.92, ((units + 0.055) / 1.055) ** 2.4))


def settings(gimp: Gimp) -> dict[str, tuple[int, bytes]]:
    folder = gimp.home.outside / ".config"
    return {str(one): (one.stat().st_mtime_ns, one.read_bytes()) for one in folder.rglob("*") if one.is_file()}


def test_layers_are_merged_as_they_are_seen(gimp: Gimp, document: Document, shared: Path) -> None:
    data = document(
        "new_image(60, 40)\n"
        "below = new_layer(60, 40, has_alpha=False)\n"
        "above = new_layer(60, 40, alpha=None); above.set_opacity(60); above.set_offsets(5, -3)\n"
        "new_layer(60, 40).set_visible(False)"
    ).read_bytes()
    before = settings(gimp)
    file = formats.decode(data)
    assert settings(gimp) == before
    (picture,) = file.pages
    assert (file.format, picture.channels, picture.samples.dtype.name) == ("xcf", "RGB", "uint8")
    assert np.abs(picture.samples.astype(int) - shown(gimp, "u1")[:, :, :3]).max() <= 1
    below = np.frombuffer(gimp.run("pixels(below)"), np.uint8).reshape(HEIGHT, WIDTH, 3)
    above = np.frombuffer(gimp.run("pixels(above)"), np.uint8).reshape(HEIGHT, WIDTH, 4)
    share = 0.6 * above[3:, :-5, 3:] / 255
    expected = light(below)
    expected[:-3, 5:] = share * light(above[3:, :-5, :3]) + (1 - share) * expected[:-3, 5:]
    assert np.abs(light(picture.samples) - expected).max() < 0.005


NON_LINEAR = "R'G'B'A float"
DEEP = {
    "16 bits": ("precision='U16_NON_LINEAR', profile='new_rgb_adobe'", "<u2", None, 16.0),
    "half, gray": ("precision='HALF_NON_LINEAR', gray=True", "<f2", None, 0.001),
    "linear float": ("precision='FLOAT_LINEAR', profile='new_rgb_adobe'", "<f4", NON_LINEAR, 1e-6),
    "32 bits": ("precision='U32_NON_LINEAR'", "<f4", NON_LINEAR, 1e-6),
}
"""How an image is made, its samples, as what to have them, and how far two GIMPs may round one apart.

Of 65535 levels up to 5 were seen.
"""


@pytest.mark.parametrize("kind", DEEP)
def test_every_precision_is_kept_with_its_alpha_and_profile(
    gimp: Gimp, document: Document, shared: Path, kind: str
) -> None:
    options, dtype, depth, apart = DEEP[kind]
    path = document(
        f"new_image(60, 40, {options})\n"
        "new_layer(60, 40, alpha=None)\n"
        "group = Gimp.GroupLayer.new(image, None); image.insert_layer(group, None, 0)\n"
        "new_layer(30, 20, alpha=None, parent=group); group.set_opacity(50)\n"
        "text = Gimp.TextLayer.new(image, 'Ü', Gimp.context_get_font(), 14, Gimp.Unit.pixel())\n"
        "image.insert_layer(text, None, 0); text.set_offsets(2, 22)"
    )
    file = formats.decode(path.read_bytes())
    (picture,) = file.pages
    expected = shown(gimp, dtype, depth)
    assert (picture.channels, picture.premultiplied) == ("GA" if "gray" in options else "RGBA", False)
    assert picture.samples.dtype == np.dtype(dtype)
    assert np.abs(picture.samples.astype(float) - expected).max() <= apart
    if "adobe" in options:
        assert "Adobe RGB" in profile_name(file)
    if not picture.integers:  # whose profile trainers look past
        seen = np.frombuffer(gimp.run(SEEN), np.float32).reshape(HEIGHT, WIDTH, 3)
        assert np.abs(picture.seen - seen.clip(0, 1)).max() < 0.01


def test_a_palette_and_what_is_told_of_the_picture(gimp: Gimp, document: Document, shared: Path) -> None:
    outside, inside = gimp.path("photo.png")
    exif = Image.Exif()
    exif.update({0x013B: "Ada Artist", 0x8298: "2026 Ada"})
    Image.effect_noise((WIDTH, HEIGHT), 60).convert("RGB").save(outside, exif=exif.tobytes(), dpi=(300, 300))
    path = document(
        f"image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({inside!r}))\n"
        "image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, '')"
    )
    file = formats.decode(path.read_bytes())
    assert np.array_equal(file.pages[0].samples, shown(gimp, "u1")[:, :, :3])
    told = Image.Exif()
    told.load(file.about.exif)
    assert (told[0x013B], told[0x8298]) == ("Ada Artist", "2026 Ada")
    assert file.about.resolution == pytest.approx((300, 300), abs=0.1)


def test_a_single_layer_whole_damaged_and_of_a_newer_gimp(gimp: Gimp, document: Document, shared: Path) -> None:
    """GIMP blends nothing here, so nothing is rounded."""
    code = "prepare(60, 40, alpha=None, precision='U16_NON_LINEAR', profile='new_rgb_adobe')"
    data = document(code).read_bytes()
    assert formats.decode(data).pages[0].samples.tobytes() == gimp.run("pixels(layer)")
    with refusal("damaged"):
        formats.decode(data[: len(data) // 2])
    with refusal("newer_xcf"):
        formats.decode(b"gimp xcf v099\0" + data[14:])


def test_a_document_is_protected_by_itself_and_in_a_folder(
    gimp: Gimp, document: Document, shared: Path, own_home: Path, glaze: Glaze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLAZE_TASKS", "tests.corpus.quick_tasks")
    path = document("new_image(60, 40)\nnew_layer(60, 40, alpha=None, has_alpha=False)")
    album = own_home.parent / "album"
    album.mkdir()
    path.rename(album / "hero.xcf")
    quick = ("--quality", "preview", "--style", "weave", "--json")
    for arguments, result in (
        ((album / "hero.xcf",), album / "hero.xcf-glazed.tif"),
        ((album, "-o", own_home.parent / "out"), own_home.parent / "out" / "hero.xcf.tif"),
    ):
        done = glaze("protect", *arguments, *quick)
        assert done.returncode == 0, done.stderr
        change = tifffile.imread(result).astype(int) - shown(gimp, "u1")[:, :, :3].astype(int)
        assert 0 < np.abs(change).max() <= 16
        result.unlink()
