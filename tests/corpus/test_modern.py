"""What JPEG XL, HEIC and AVIF have that others have not; colours that are stated by numbers, from format to format."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pylibjxl
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from glaze_server.engine import cicp, formats
from glaze_server.engine.formats import Wanted
from glaze_server.engine.metadata import exif as exif_module
from tests.corpus import cases, modern, profiles, readers
from tests.corpus.cases import painted
from tests.corpus.test_metadata import exiftool
from tests.engine.conftest import refusal

RGB = painted("RGB", "u1")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def boxed(*more: bytes) -> bytes:
    """A JPEG XL file in its container, with more boxes."""
    sound = bytes(imagecodecs.jpegxl_encode(RGB, lossless=True))
    return box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(more) + box(b"jxlc", sound)


def told(data: bytes) -> dict[str, Any]:
    (found,) = json.loads(exiftool(data, "-json", "-n", "-G1"))
    return dict(found)


def exif(**entries: Any) -> bytes:
    block = Image.Exif()
    for name, value in entries.items():
        block[{"artist": 315, "make": 271, "orientation": 274}[name]] = value
    return block.tobytes().removeprefix(b"Exif\0\0")


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
exif:GPSLatitude="48.2"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">A puddle</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def brotli(kind: bytes, body: bytes) -> bytes:
    return box(b"brob", kind + bytes(imagecodecs.brotli_encode(body)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("mode", ["safe", "keep-all", "none"])
def test_what_a_jpeg_xl_file_tells_goes_along_as_asked(packed: bool, changed: bool, mode: str) -> None:
    lay = brotli if packed else box
    block = exif(artist="Ann", make="Acme", orientation=6)
    data = boxed(lay(b"Exif", bytes(4) + block), lay(b"xml ", XMP), box(b"jumb", b"uncloaked" * 9))
    file = formats.decode(data)
    page = file.pages[0]
    pages = [page.changed(np.full(page.seen.shape, 0.02, np.float32))] if changed else file.pages
    written = formats.encode(file, pages, "", Wanted(metadata=mode))
    found = told(written)
    assert found.get("IFD0:Artist") == (None if mode == "none" else "Ann")
    assert found.get("XMP-dc:Title") == (None if mode == "none" else "A puddle")
    assert found.get("IFD0:Make") == ("Acme" if mode == "keep-all" else None)
    assert ("XMP-exif:GPSLatitude" in found) == (mode == "keep-all")
    assert found["IFD0:Orientation"] == 1  # JPEG XL is not turned by EXIF, but what it is made into would be
    assert b"uncloaked" not in written
    if not changed:
        np.testing.assert_array_equal(np.asarray(pylibjxl.decode(written)), RGB)


def test_the_wish_not_to_be_mined_goes_into_jpeg_xl() -> None:
    file = formats.decode(boxed())
    found = told(formats.encode(file, file.pages, "", Wanted(no_mining=True)))
    assert found["XMP-plus:DataMining"] == "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"


@pytest.mark.parametrize("format", ["jxl", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_where_viewers_do_not_look_at_exif(format: str, orientation: int) -> None:
    data = io.BytesIO()
    Image.fromarray(RGB).save(data, "PNG", exif=turned(orientation))
    with Image.open(io.BytesIO(data.getvalue())) as image:
        upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    file = formats.decode(data.getvalue())
    written = formats.encode(file, file.pages, format)
    back = (readers.jxl if format == "jxl" else readers.avif)(written).astype(int)
    assert back.shape == upright.shape
    assert np.abs(back - upright).mean() < (1e-9 if format == "jxl" else 3)
    assert told(written).get("IFD0:Orientation", 1) == 1
    again = formats.decode(written)  # and on into a format that is turned by EXIF
    with Image.open(io.BytesIO(formats.encode(again, again.pages, "png"))) as image:
        assert np.abs(np.asarray(ImageOps.exif_transpose(image)).astype(int) - upright).mean() < 3


def test_an_orientation_of_four_bytes_counts_too() -> None:
    block = exif_module.write(">", [exif_module.Entry(274, 4, 1, struct.pack(">I", 6))])
    assert exif_module.orientation(block) == 6
    assert exif_module.orientation(exif_module.upright(block)) == 1


def turned(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[274] = orientation
    return block


@pytest.mark.parametrize("bits", [1, 4, 10, 12, 14])
def test_jpeg_xl_of_other_depths_is_widened(bits: int) -> None:
    levels = painted("RGB", "u2") >> (16 - bits)
    levels = levels.astype("u1") if bits < 8 else levels
    file = formats.decode(bytes(imagecodecs.jpegxl_encode(levels, lossless=True, bitspersample=bits)))
    top = np.iinfo(file.pages[0].samples.dtype).max
    np.testing.assert_array_equal(np.rint(file.pages[0].samples / top * (2**bits - 1)), levels)
    assert file.pages[0].samples.max() == top
    assert file.narrow == (bits < 8)


def with_resolution(container: str, resolution: int) -> bytes:
    """A file of an author; resolution: in px per inch, 0 for one that says nothing."""
    data, block = io.BytesIO(), Image.Exif()
    block[315] = "Ann"
    more: dict[str, Any] = {"dpi": (resolution, resolution)} if resolution else {}
    Image.fromarray(RGB).save(data, container, exif=block, **more)
    return data.getvalue()


@pytest.mark.parametrize("container", ["PNG", "JPEG"])
def test_the_resolution_goes_into_avif_and_on(container: str) -> None:
    file = formats.decode(with_resolution(container, 300))
    found = told(formats.encode(file, file.pages, "avif"))
    assert found["IFD0:Artist"] == "Ann"
    assert [found[f"IFD0:{name}Resolution"] for name in "XY"] == pytest.approx([300, 300], abs=0.1)
    assert found["IFD0:ResolutionUnit"] == 2
    file = formats.decode(formats.encode(file, file.pages, "avif"))
    page = file.pages[0]
    for format in ("", "tiff", "webp", "jxl"):  # cloaked again
        found = told(formats.encode(file, [page.changed(np.full(page.seen.shape, 0.02, np.float32))], format))
        assert [found[f"IFD0:{name}Resolution"] for name in "XY"] == pytest.approx([300, 300], abs=0.1)
    assert readers.dpi(formats.encode(file, file.pages, "png")) == pytest.approx((300, 300), abs=0.1)


def test_a_resolution_alone_goes_into_avif() -> None:
    file = formats.decode(cases.png(RGB, 2, cases.DPI))
    assert told(formats.encode(file, file.pages, "avif"))["IFD0:XResolution"] == pytest.approx(300, abs=0.1)


def test_no_resolution_is_made_up_for_avif() -> None:
    """With EXIF, which must have one, it is EXIF's own for what is not known."""
    file = formats.decode(with_resolution("PNG", 0))
    assert told(formats.encode(file, file.pages, "avif"))["IFD0:XResolution"] == 72
    file = formats.decode(cases.png(RGB, 2, *cases.icc(profiles.RGB["p3"])))
    written = formats.encode(file, file.pages, "avif")
    assert "IFD0:XResolution" not in told(written)
    assert readers.profile(written) == profiles.RGB["p3"]


def test_white_of_deep_avif_is_white() -> None:
    white = np.full((40, 48, 3), 1023, np.uint16)
    file = formats.decode(modern.avif(white, 10, (1, 13)))
    assert file.pages[0].samples.max() == 65535


STATED = {
    "png-p3": cases.png(RGB, 2, cases.chunk(b"cICP", bytes((12, 13, 0, 1)))),
    "png-gama-chrm": cases.png(RGB, 2, *modern.PNG_COLOURS["gama-and-chrm"]),
    "avif-p3": modern.avif(RGB, 8, modern.P3),
    "jxl-p3": modern.jxl(RGB, numbers=modern.P3),
    "heic-p3": modern.heic(
        RGB, "RGB", color_primaries=12, transfer_characteristics=13, matrix_coefficients=6, full_range_flag=1
    ),
}
LINEAR = {
    "p3": profiles.rgb([0.68, 0.32, 0.265, 0.69, 0.15, 0.06], 1.0),
    "prophoto": profiles.rgb([0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001], 1.0, profiles.D50),
}
PATCHES = np.array([[[250, 20, 10], [30, 240, 40], [10, 20, 250], [128, 128, 128]]], np.float32) / 255


def lab(colours: np.ndarray, profile: bytes) -> np.ndarray:
    wanted = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    found = imagecodecs.cms_transform(colours, profile, wanted, colorspace="rgb", outcolorspace="lab", outdtype="f4")
    return np.asarray(found)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "jxl", "avif"])
@pytest.mark.parametrize("name", STATED)
def test_colours_by_numbers_are_stated_in_every_format(name: str, format: str) -> None:
    file = formats.decode(STATED[name])
    page = file.pages[0]
    written = formats.encode(file, [page.changed(np.full(page.seen.shape, 0.02, np.float32))], format)
    if format in ("png", "avif", "jxl") and name != "png-gama-chrm":
        found = {"png": cicp_of, "avif": nclx_of, "jxl": readers.jxl_numbers}[format](written)
        assert tuple(found) == modern.P3
    elif not (format == "png" and name == "png-gama-chrm"):  # which keeps its chunks, as the matrix says
        wide = name == "png-gama-chrm"
        light = (
            PATCHES**1.8 if wide else np.where(PATCHES < 0.04045, PATCHES / 12.92, ((PATCHES + 0.055) / 1.055) ** 2.4)
        )
        expected = lab(light.astype(np.float32), LINEAR["prophoto" if wide else "p3"])
        assert np.abs(lab(PATCHES, readers.profile(written)) - expected).max() < 0.5


def cicp_of(data: bytes) -> bytes:
    return bytes(dict(readers.looks(data))[b"cICP"][:2])


def nclx_of(data: bytes) -> tuple[int, ...]:
    return struct.unpack(">HH", readers.nclx(data))


@pytest.mark.parametrize(
    ("transfer", "sample", "light"),
    [(16, 0.50808, 0.01), (16, 0.75183, 0.1), (18, 0.5, 1 / 12), (13, 0.5, 0.21404), (1, 0.5, 0.25959), (8, 0.5, 0.5)],
)
def test_profiles_of_numbers_have_the_curve_that_the_standard_gives(transfer: int, sample: float, light: float) -> None:
    """100 and 1000 cd/m² of ST 2084, the knee of STD-B67, sRGB and BT.709 by hand."""
    gray = np.full((1, 1, 3), sample, np.float32)
    linear = imagecodecs.cms_profile("rgb", whitepoint=list(cicp.D65), primaries=[*sum(cicp.REC709, ())], gamma=1.0)
    found = imagecodecs.cms_transform(
        gray, cicp.profile(1, transfer), linear, colorspace="rgb", outcolorspace="rgb", outdtype="f4"
    )
    np.testing.assert_allclose(np.asarray(found), light, rtol=0.01)


def test_numbers_that_say_nothing_make_no_profile() -> None:
    unspecified = cases.png(RGB, 2, cases.chunk(b"cICP", bytes((2, 2, 0, 1))))
    file = formats.decode(unspecified)
    assert readers.profile(formats.encode(file, file.pages, "tiff")) == b""
    assert cicp.profile(2, 2) == b""


def animation() -> bytes:
    return bytes(imagecodecs.jpegxl_encode(np.stack([RGB, RGB[::-1]]), lossless=True))


def sequence() -> bytes:
    return struct.pack(">I", 24) + b"ftyphevc\0\0\0\0hevcmif1"


def several() -> bytes:
    data = io.BytesIO()
    file = pillow_heif.from_bytes(mode="RGB", size=(48, 40), data=RGB.tobytes())
    file.add_frombytes(mode="RGB", size=(48, 40), data=RGB.tobytes())
    file.save(data)
    return data.getvalue()


def spliced() -> bytes:
    return modern.jxl(RGB, cicp.profile(9, 18), distance=1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (animation(), "several_pages"),
        (sequence(), "several_pages"),
        (several(), "several_pages"),
        (spliced(), "profile"),
        (bytes(imagecodecs.avif_encode(np.stack([RGB, RGB]), 80, speed=10)), "several_pages"),
    ],
    ids=["jxl-animation", "heic-sequence", "heic-of-two", "jxl-lossy-with-a-table", "avif-animation"],
)
def test_what_cannot_be_cloaked_is_refused(data: bytes, code: str) -> None:
    with refusal(code):
        formats.decode(data)


def test_what_jpeg_xl_cannot_hold_is_refused() -> None:
    gray = cases.png(painted("G", "u1"), 0, *cases.icc(profiles.GRAY["gamma"]))
    cmyk = cases.tiff(painted("CMYK", "u1"), "CMYK")
    odd = cases.tiff(RGB, "RGB", iccprofile=profiles.RGB["p3"][:200])
    for data, reason in ((cmyk, "CMYK"), (gray, "gray with a colour profile"), (odd, "does not go into JPEG XL")):
        file = formats.decode(data)
        for act in (formats.check_format, lambda file, format: formats.encode(file, file.pages, format)):
            with refusal("format") as caught:
                act(file, "jxl")
            assert reason in caught.value.sentence


def clear_avif() -> bytes:
    return bytes(imagecodecs.avif_encode(painted("RGBA", "u1"), 90, speed=8))


def test_avif_with_transparency_is_refused_before_the_work_and_only_for_a_cloak() -> None:
    file = formats.decode(clear_avif())
    with refusal("format") as caught:
        formats.check_format(file, "")
    assert "transparency" in caught.value.sentence
    assert formats.check_format(file, "png") == "png"
    np.testing.assert_array_equal(readers.avif(formats.encode(file, file.pages)), readers.avif(clear_avif()))


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize("name", ["gamma", "linear"])
def test_gray_keeps_its_curve_where_it_becomes_rgb(name: str, format: str) -> None:
    gray = painted("G", "u1")
    file = formats.decode(cases.png(gray, 0, *cases.icc(profiles.GRAY[name])))
    formats.check_format(file, format)
    written = formats.encode(file, file.pages, format)
    assert told(written)["ICC-header:ColorSpaceData"] == "RGB "
    with Image.open(io.BytesIO(written)) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        shown = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    assert shown is not None
    wanted = profiles.srgb_of(gray.squeeze().astype(np.float32) / 255, profiles.GRAY[name], "gray") * 255
    error = np.abs(np.asarray(shown).astype(float) - wanted)
    if format == "webp":
        assert error.max() < 2
    else:  # which loses a little
        assert error[gray[..., 0] > 40].mean() < 4


def test_gray_avif_with_a_gray_profile_goes_on_with_one_of_rgb() -> None:
    data = io.BytesIO()
    Image.fromarray(painted("G", "u1")[..., 0]).save(data, "AVIF", icc_profile=profiles.GRAY["gamma"], quality=90)
    file = formats.decode(data.getvalue())
    page = file.pages[0]
    for format in ("png", ""):
        written = formats.encode(file, [page.changed(np.full(page.seen.shape, 0.02, np.float32))], format)
        assert told(written)["ICC-header:ColorSpaceData"] == "RGB "


def test_gray_with_a_damaged_profile_goes_into_webp_without() -> None:
    spoilt = profiles.GRAY["gamma"][:132] + bytes(200)
    file = formats.decode(cases.tiff(painted("G", "u1"), "G", iccprofile=spoilt))
    assert readers.profile(formats.encode(file, file.pages, "webp")) == b""


def test_a_heic_picture_is_turned_once() -> None:
    data = modern.heic(RGB, "RGB", exif=turned(6).tobytes())
    file = formats.decode(data)
    with Image.open(io.BytesIO(formats.encode(file, file.pages, "png"))) as image:
        seen = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(seen, readers.heic(data))
    assert seen.shape == (48, 40, 3)


def webp(quality: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(painted("RGB", "u1", 160, 160)).save(data, "WEBP", quality=quality)
    return data.getvalue()


LOSSY = {
    **{f"webp-{quality}": webp(quality) for quality in (40, 75, 90, 97)},
    **{f"avif-{quality}": modern.avif(painted("RGB", "u1", 160, 160), 8, (1, 13), quality) for quality in (40, 70, 95)},
    **{f"jxl-{loss}": modern.jxl(painted("RGB", "u1", 160, 160), distance=loss) for loss in (2.5, 1.0, 0.5)},
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_file_comes_back_of_like_quality(name: str) -> None:
    """Whatever quality it was made with, which it does not say: neither much smaller nor much larger."""
    file = formats.decode(LOSSY[name])
    page = file.pages[0]
    delta = np.random.default_rng(0).choice([-0.012, 0.012], page.seen.shape).astype(np.float32)
    written = formats.encode(file, [page.changed(delta)])
    assert 0.9 < len(written) / len(LOSSY[name]) < 1.6


def test_jpeg_xl_without_loss_takes_no_colours_of_32_bits_below_0() -> None:
    """OpenImageIO's libjxl fails on most of them, which is told before anything is computed."""
    file = formats.decode(modern.jxl(painted("RGB", "f4")))
    with refusal("format") as caught:
        formats.check_format(file, "")
    assert "below 0" in caught.value.sentence
    assert formats.check_format(file, "tiff") == "tiff"
    lossy = formats.decode(modern.jxl(painted("RGB", "f4"), distance=1.0))
    assert formats.check_format(lossy, "") == "jxl"


def associated(dtype: str) -> tuple[bytes, np.ndarray]:
    """A TIFF file whose colours are multiplied by alpha, and the straight colours, from 0 to 1."""
    straight = np.abs(painted("RGBA", "f4")).clip(0, 1)
    straight[..., 3] = np.linspace(0, 1, straight.shape[1])
    straight[20:, 24:, 3] = 1
    samples = np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], 2)
    if dtype != "f4":
        samples = np.rint(samples * np.iinfo(dtype).max)
    data = cases.tiff(samples.astype(dtype), "RGBA", extrasamples=["assocalpha"], compression="zlib")
    return data, straight


@pytest.mark.parametrize(
    ("dtype", "format"),
    [("u1", "png"), ("u2", "png"), ("u1", "webp"), ("u1", "jxl"), ("u2", "jxl"), ("f4", "jxl")],
)
def test_colours_multiplied_by_alpha_come_out_straight(dtype: str, format: str) -> None:
    data, straight = associated(dtype)
    file = formats.decode(data)
    formats.check_format(file, format)
    written = formats.encode(file, file.pages, format)
    back = {"png": readers.png, "webp": readers.pillow, "jxl": readers.jxl}[format](written)
    given = readers.tiff(data) if dtype == "f4" else tifffile.imread(io.BytesIO(data))
    np.testing.assert_array_equal(back[..., 3], given[..., 3])
    opaque = straight[..., 3] == 1
    np.testing.assert_array_equal(back[opaque], given[opaque])
    alpha, top = straight[1:, 1:, 3:], 1 if dtype == "f4" else np.iinfo(dtype).max
    error = np.abs(back[1:, 1:, :3] / top - straight[1:, 1:, :3]) * alpha * top
    assert error.max() < (1e-6 if dtype == "f4" else 1.6)
    if dtype == "u1":
        with Image.open(io.BytesIO(data)) as image:
            seen = np.asarray(image.convert("RGBA")).astype(int)
        np.testing.assert_allclose(back[1:, 1:].astype(int), seen[1:, 1:], atol=1)


def test_a_heic_picture_with_colours_multiplied_by_alpha_comes_out_straight() -> None:
    half = np.zeros((40, 48, 4), np.uint8)
    half[..., 0], half[..., 3] = 128, 128
    file = formats.decode(modern.heic(half, "RGBa"))
    back = readers.png(formats.encode(file, file.pages, "png"))
    np.testing.assert_allclose(back[20, 20].astype(int), [255, 0, 0, 128], atol=3)


def test_colours_multiplied_by_alpha_stay_so_where_they_can() -> None:
    data, _ = associated("u1")
    file = formats.decode(data)
    written = formats.encode(file, file.pages, "tiff")
    assert readers.directory(written)[338] == (1,)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), tifffile.imread(io.BytesIO(data)))


def test_what_a_cloak_brings_below_0_in_jpeg_xl_becomes_0() -> None:
    samples = np.abs(painted("RGB", "f4"))
    file = formats.decode(modern.jxl(samples, profiles.RGB["p3"]))
    below = samples.copy()
    below[0] = -2e-5
    back = readers.jxl(formats.encode(file, [replace(file.pages[0], samples=below)]))
    assert not back[0].any()
    np.testing.assert_array_equal(back[1:], samples[1:])


@pytest.mark.parametrize("changed", [False, True])
def test_the_wish_goes_into_an_avif_or_is_refused(changed: bool) -> None:
    data = modern.avif(RGB, 8, modern.P3)
    file = formats.decode(data)
    samples = file.pages[0].samples.copy()
    samples[8:16, 8:16] ^= np.uint8(8 * changed)
    pages = [file.pages[0].with_samples(samples)]
    if changed:
        assert "DataMining" in str(told(formats.encode(file, pages, "", Wanted(no_mining=True))))
    else:
        with refusal("format"):
            formats.encode(file, pages, "", Wanted(no_mining=True))
        assert formats.encode(file, pages) == data
