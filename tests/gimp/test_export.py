"""*Export Glazed Copy…* as a script runs it: files written by the real GIMP, read back by other readers."""

from __future__ import annotations

import io
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from glaze_plugin.client import Client
from glaze_plugin.raster import RasterFormat
from tests.conftest import file_bytes
from tests.gimp.conftest import Gimp
from tests.gimp.glazing import HEIGHT, WIDTH, open_jobs, pixels, prepare, runs
from tests.krita.pixel_tasks import flipped

RGBA = RasterFormat(WIDTH, HEIGHT, "RGBA", "u8")
ADOBE = "Compatible with Adobe RGB (1998)"
AUTHOR, COPYRIGHT, SERIAL, GPS, PHOTO, MODEL, THUMBNAIL = 0x013B, 0x8298, 0xA431, 0x8825, 0x8769, 0x0110, 1
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
exif:GPSLatitude="48,8.01N"><dc:creator><rdf:Seq><rdf:li>Ada Artist</rdf:li></rdf:Seq></dc:creator>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
STATE = (
    "(image.is_dirty(), tree(), pixels(layer), Gimp.Selection.is_empty(image), len(Gimp.get_images()),"
    " image.get_base_type().value_nick, image.get_metadata().serialize() if image.get_metadata() else '')"
)


@pytest.fixture
def folder(gimp: Gimp) -> Iterator[Path]:
    """Where GIMP and the test both find files."""
    path = gimp.path("files")[0]
    path.mkdir()
    yield path
    for one in path.iterdir():
        one.unlink()
    path.rmdir()


def export(gimp: Gimp, path: Path, **arguments: object) -> str:
    """ "success", or why not."""
    found: str = gimp.run("export(path, **arguments)", path=gimp.path(f"files/{path.name}")[1], arguments=arguments)
    return found


def read(path: Path) -> tuple[Image.Image, NDArray[np.int16]]:
    with Image.open(path) as file:
        file.load()
    return file, np.asarray(file).astype(np.int16)


def profile_name(file: Image.Image) -> str:
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(file.info["icc_profile"]))).strip()


def photograph(folder: Path) -> Image.Image:
    """A green picture as a camera and an artist leave it: a red thumbnail, position, serial number, author, lying on
    its side.
    """
    image = Image.effect_noise((400, 300), 40).convert("RGB")
    image = Image.merge(
        "RGB", (image.getchannel(0).point(lambda one: one // 8), image.getchannel(1), image.getchannel(0))
    )
    exif = Image.Exif()
    exif.update({AUTHOR: "Ada Artist", COPYRIGHT: "© Ada", MODEL: "X1", 0x0112: 6})
    exif.get_ifd(PHOTO)[SERIAL] = "BODY-123"
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 1.0), 3: "E", 4: (11.0, 34.0, 2.0)})
    data = exif.tobytes()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(folder / "in.jpg", exif=data, xmp=XMP, dpi=(300, 300), icc_profile=profile, quality=98)
    return image


def load(gimp: Gimp, path: Path) -> None:
    gimp.run(
        "image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(path))\n"
        "layer = image.get_layers()[0]",
        path=gimp.path(f"files/{path.name}")[1],
    )


# ---- pixels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "tiff"])
def test_lossless_formats_hold_the_cloak_to_the_bit(gimp: Gimp, folder: Path, suffix: str) -> None:
    before = prepare(gimp, profile="new_rgb_adobe", alpha=None)
    gimp.run("image.set_resolution(300, 300); image.clean_all()")
    state = gimp.run(STATE)
    path = folder / f"copy.{suffix}"
    assert export(gimp, path) == "success"
    file, found = read(path)
    cloaked = np.frombuffer(flipped(before, RGBA), np.uint8).reshape(HEIGHT, WIDTH, 4)
    seen = (cloaked[:, :, 3:] > 0) | (suffix != "webp")  # which drops colour that nobody can see
    assert (found * seen == cloaked * seen).all()
    assert profile_name(file) == ADOBE
    if suffix != "webp":
        assert file.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert gimp.run(STATE) == state
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG"])
def test_jpeg_is_the_picture_on_white(gimp: Gimp, folder: Path, suffix: str) -> None:
    before = np.frombuffer(prepare(gimp, profile="new_rgb_adobe", alpha=None), np.uint8).reshape(HEIGHT, WIDTH, 4)
    gimp.run("image.set_resolution(300, 300)")
    path = folder / f"copy.{suffix}"
    gimp.run("Gimp.context_set_background(Gegl.Color.new('blue'))")
    assert export(gimp, path, jpeg_quality=100.0) == "success"
    assert gimp.run("Gimp.context_get_background().get_rgba()[2] > 0.9")
    file, found = read(path)
    assert file.format == "JPEG" and file.mode == "RGB"
    assert (profile_name(file), file.info["dpi"]) == (ADOBE, (300, 300))
    opaque = before[:, :, 3] > 250
    assert np.abs(found - before[:, :, :3])[opaque].mean() < 8
    empty = before[:, :, 3] < 3
    assert found[empty].mean() > 245


@pytest.mark.parametrize("has_alpha", [False, True])
def test_what_is_opaque_has_no_alpha(gimp: Gimp, folder: Path, has_alpha: bool) -> None:
    before = prepare(gimp, has_alpha=has_alpha)
    assert export(gimp, folder / "copy.png", strength=0.0) == "success"
    file, found = read(folder / "copy.png")
    assert file.mode == "RGB"
    channels = 3 + has_alpha
    assert (found == np.frombuffer(before, np.uint8).reshape(HEIGHT, WIDTH, channels)[:, :, :3]).all()


@pytest.mark.parametrize(
    ("precision", "gray", "suffix"),
    [
        ("U16_NON_LINEAR", False, "png"),
        ("U16_LINEAR", True, "png"),
        ("U16_NON_LINEAR", True, "tif"),
        ("FLOAT_LINEAR", False, "tif"),
    ],
)
def test_deeper_pictures_are_as_gimp_exports_them(
    gimp: Gimp, folder: Path, precision: str, gray: bool, suffix: str
) -> None:
    """But for the cloak, which here is one 16-bit level."""
    prepare(gimp, precision=precision, gray=gray, alpha=None)
    assert export(gimp, folder / f"same.{suffix}", strength=0.0) == "success"
    assert export(gimp, folder / f"copy.{suffix}") == "success"
    gimp.run(
        f"call('file-{'tiff' if suffix == 'tif' else 'png'}-export', image=image, file=path,"
        " run_mode=Gimp.RunMode.NONINTERACTIVE, include_color_profile=True, **options)",
        path=gimp.path(f"files/plain.{suffix}")[1],
        options={"save_transparent_pixels" if suffix == "tif" else "save_transparent": True},
    )
    plain, same, copy = (samples(folder / f"{name}.{suffix}") for name in ("plain", "same", "copy"))
    assert (same == plain).all()
    assert copy.dtype == plain.dtype and copy.dtype != np.uint8
    assert (copy != plain).any()
    top = 1.0 if plain.dtype.kind == "f" else 65535
    assert np.abs(copy.astype(float) - plain.astype(float)).max() / top < 4 / 65535


def samples(path: Path) -> NDArray[Any]:
    """Of any depth; Pillow would take 8 bits of a deep PNG."""
    if path.suffix == ".tif":
        found: NDArray[Any] = np.asarray(tifffile.imread(path))
        return found

    deep: NDArray[Any] = pyvips.Image.new_from_file(str(path)).numpy()
    return deep


def test_it_is_what_is_seen(gimp: Gimp, folder: Path) -> None:
    """Layers, modes, masks, groups and filters are; what is hidden or beyond the canvas is not."""
    prepare(gimp)
    gimp.run(
        f"noise(layer, 1.0, seed=1); above = new_layer({WIDTH}, {HEIGHT}, 'Above'); noise(above, seed=2)\n"
        "above.set_mode(Gimp.LayerMode.MULTIPLY); above.set_offsets(20, -10)\n"
        "mask = above.create_mask(Gimp.AddMaskType.WHITE); above.add_mask(mask); noise(mask, seed=3)\n"
        "group = Gimp.GroupLayer.new(image, 'Group'); image.insert_layer(group, None, 0)\n"
        "image.reorder_item(above, group, 0); group.set_opacity(70)\n"
        "layer.append_filter(Gimp.DrawableFilter.new(layer, 'gegl:invert-gamma', 'Invert'))\n"
        f"hidden = new_layer({WIDTH}, {HEIGHT}, 'Hidden'); hidden.set_visible(False)\n"
        "image.select_rectangle(Gimp.ChannelOps.REPLACE, 5, 5, 40, 40); image.clean_all()\n"
        "seen = Gimp.Layer.new_from_visible(image, image, 'seen')"
    )
    seen = np.frombuffer(gimp.run("pixels(seen)"), np.uint8).reshape(HEIGHT, WIDTH, 4)
    state = gimp.run(STATE)
    assert export(gimp, folder / "copy.png") == "success"
    _, found = read(folder / "copy.png")
    assert (found == seen[:, :, :3] ^ 1).all()
    assert gimp.run(STATE) == state


def test_an_indexed_picture_is_refused_or_converted(gimp: Gimp, folder: Path) -> None:
    prepare(gimp, has_alpha=False)
    gimp.run("image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.WEB, 0, False, False, '')")
    state = gimp.run(STATE)
    assert "An indexed picture has only the colours of its palette" in export(gimp, folder / "copy.png")
    assert not list(folder.iterdir())
    assert export(gimp, folder / "copy.png", convert_indexed=True) == "success"
    assert read(folder / "copy.png")[0].mode == "RGB"
    assert gimp.run(STATE) == state


# ---- metadata --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_by_default_author_and_copyright_are_kept_alone(gimp: Gimp, folder: Path, suffix: str) -> None:
    photograph(folder)
    load(gimp, folder / "in.jpg")
    path = folder / f"copy.{suffix}"
    assert export(gimp, path) == "success"
    with Image.open(path) as file:
        file.load()
        exif = file.getexif()
        position, photo = exif.get_ifd(GPS), exif.get_ifd(PHOTO)
    assert exif[AUTHOR] == "Ada Artist" and "Ada" in exif[COPYRIGHT]
    assert exif[0x0112] == 1
    assert not position and MODEL not in exif and SERIAL not in photo
    assert "sRGB" in profile_name(file)
    assert float(exif[0x011A]) == 300
    content = path.read_bytes()
    assert b"BODY-123" not in content and b"GPSLatitude" not in content and b"Ada Artist" in content
    assert (file.size, file.mode) == ((400, 300), "RGB")


def test_the_thumbnail_is_of_the_cloaked_picture(gimp: Gimp, folder: Path) -> None:
    """Not the one that came with the file."""
    photograph(folder)
    red = file_bytes(Image.new("RGB", (160, 100), (255, 0, 0)), "JPEG")
    (folder / "red.jpg").write_bytes(red)
    with_thumbnail(folder / "in.jpg", folder / "red.jpg")
    load(gimp, folder / "in.jpg")
    for choice in ("author", "all"):
        path = folder / f"{choice}.jpg"
        assert export(gimp, path, metadata=choice) == "success"
        content = path.read_bytes()
        assert red not in content
        data = thumbnail(path)
        with Image.open(io.BytesIO(data)) as small, Image.open(path) as large:
            assert small.width == 256 and large.width == 400
            shown, seen = (np.asarray(one.convert("L").resize((64, 40))).astype(float) for one in (small, large))
            reds, greens, _ = (np.asarray(band).mean() for band in small.convert("RGB").split())
        assert np.abs(shown - seen).mean() < 25  # GIMP 3.2 makes it gray
        assert reds < greens + 5


def with_thumbnail(path: Path, small: Path) -> None:

    subprocess.run(["exiftool", "-q", "-overwrite_original", f"-ThumbnailImage<={small}", path], check=True)


def thumbnail(path: Path) -> bytes:

    return subprocess.run(["exiftool", "-b", "-ThumbnailImage", path], check=True, capture_output=True).stdout


def test_what_the_artist_chooses_is_kept(gimp: Gimp, folder: Path) -> None:
    photograph(folder)
    load(gimp, folder / "in.jpg")
    found = {}
    for choice in ("most", "all", "none"):
        assert export(gimp, folder / f"{choice}.jpg", metadata=choice) == "success"
        exif = read(folder / f"{choice}.jpg")[0].getexif()
        found[choice] = (AUTHOR in exif, MODEL in exif, SERIAL in exif.get_ifd(PHOTO), bool(exif.get_ifd(GPS)))
    assert found == {
        "most": (True, True, False, False),
        "all": (True, True, True, True),
        "none": (False, False, False, False),
    }


# ---- files -----------------------------------------------------------------------------------------


def test_a_file_is_replaced_only_when_that_is_asked_for(gimp: Gimp, folder: Path) -> None:
    prepare(gimp)
    path = folder / "copy.png"
    path.write_bytes(b"precious")
    assert export(gimp, path) == "“copy.png” is there already and was not replaced."
    words = gimp.run(
        "outcome('plug-in-glaze-export', image=image, file=path, overwrite=True, run_mode=Gimp.RunMode.WITH_LAST_VALS)",
        path=gimp.path("files/copy.png")[1],
    )
    assert words == "“copy.png” is there already and was not replaced."
    assert path.read_bytes() == b"precious"
    assert export(gimp, path, overwrite=True) == "success"
    assert read(path)[0].format == "PNG"
    assert list(folder.iterdir()) == [path]


def test_a_file_that_comes_meanwhile_is_not_replaced(gimp: Gimp, folder: Path, held: Path, client: Client) -> None:
    prepare(gimp)
    path = folder / "copy.png"
    said: list[str] = []
    running = threading.Thread(target=lambda: said.append(export(gimp, path)))
    running.start()
    runs(client)
    path.write_bytes(b"precious")
    held.unlink()
    running.join(30)
    assert said == ["“copy.png” is there already and was not replaced."]
    assert path.read_bytes() == b"precious"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("copy.bmp", "A glazed copy can be a PNG, JPEG, WebP or TIFF file."),
        ("copy", "A glazed copy can be a PNG, JPEG, WebP or TIFF file."),
        ("nowhere/copy.png", "There is no folder"),
        (f"{'x' * 300}.png", "could not be written; nothing was exported."),
    ],
)
def test_what_cannot_be_written_is_said(gimp: Gimp, folder: Path, name: str, why: str) -> None:
    prepare(gimp)
    assert why in gimp.run("export(path)", path=gimp.path(f"files/{name}")[1])
    assert not list(folder.iterdir())
    assert gimp.run("len(Gimp.get_images())") == 1


def test_nothing_is_visible(gimp: Gimp, folder: Path) -> None:
    prepare(gimp)
    gimp.run("layer.set_visible(False)")
    assert export(gimp, folder / "copy.png") == "No layer is visible, so there is nothing to export."


def test_a_job_that_fails_leaves_no_file(gimp: Gimp, folder: Path, held: Path, client: Client) -> None:
    prepare(gimp)
    path = folder / "copy.png"
    said: list[str] = []
    running = threading.Thread(target=lambda: said.append(export(gimp, path)))
    running.start()
    runs(client)
    client.cancel_job(open_jobs(client)[0])
    running.join(30)
    assert said and said != ["success"]
    assert not list(folder.iterdir())
    assert gimp.run("len(Gimp.get_images())") == 1
    assert pixels(gimp, "Layer")
