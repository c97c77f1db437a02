"""Files go in and come out with their samples, profile and author; what gives the artist away stays behind.

Everything that `formats` writes is read back by another reader: Pillow, tifffile, exiftool, or the few lines below.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import subprocess
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from glaze_server.engine import formats
from glaze_server.engine.formats import file
from tests.conftest import file_bytes
from tests.engine.conftest import Piece, refusal

Samples = NDArray[Any]

CONTAINERS: dict[str, dict[str, object]] = {"PNG": {}, "JPEG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
"""Pillow's name → its options."""
every_container = pytest.mark.parametrize("container", CONTAINERS)

PNG_COLOURS = {0: 1, 2: 3, 4: 2, 6: 4}
"""PNG colour type → channels."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int, colour: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def write_png16(samples: Samples) -> bytes:
    """A 16-bit PNG, which Pillow cannot write in colour."""
    height, width, channels = samples.shape
    colour = next(key for key, value in PNG_COLOURS.items() if value == channels)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png_header(width, height, 16, colour) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def read_png16(data: bytes) -> Samples:
    """Samples (H, W, C) of a 16-bit PNG that is not interlaced (PNG specification, section 9)."""
    position, packed = 8, b""
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        position += size + 12
    assert depth == 16
    step = 2 * PNG_COLOURS[colour]
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    above = [0] * (width * step)
    rows = []
    for kind, *line in lines.tolist():
        for i, byte in enumerate(line):
            left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
            up = above[i]
            line[i] = (byte + (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]) & 255
        above = line
        rows.append(line)
    return np.array(rows, np.uint8).view(">u2").astype(np.uint16).reshape(height, width, -1)


def paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def tiff(samples: Samples, **options: Any) -> bytes:
    data = io.BytesIO()
    tifffile.imwrite(data, samples, **options)
    return data.getvalue()


def random_samples(dtype: type, channels: int) -> Samples:
    """(19, 23, channels), with both ends of the range and alpha 0 over colour among them."""
    top = np.iinfo(dtype).max
    samples = np.random.default_rng(5).integers(0, top, (19, 23, channels), dtype, endpoint=True)
    samples[0, 0], samples[0, 1] = 0, top
    if channels in (2, 4):
        samples[5:9, :, -1] = 0
    return samples


def shown(data: bytes) -> Samples:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def rewritten(data: bytes, format: str = "") -> bytes:
    """Decoded, then encoded unchanged."""
    file = formats.decode(data)
    return formats.encode(file, file.pages, format)


# Samples


@pytest.mark.parametrize("container", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("mode", "read_as"), [("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA")]
)
def test_8_bit_samples_come_back_as_they_were(piece: Piece, container: str, mode: str, read_as: str) -> None:
    image = piece(37, 29).convert(mode)
    file = formats.decode(file_bytes(image, container))
    expected = np.asarray(image.convert(read_as))
    np.testing.assert_array_equal(file.pages[0].samples.squeeze(), expected)
    written = formats.encode(file, file.pages)
    with Image.open(io.BytesIO(written)) as back:
        assert (back.format, back.mode) == (container, mode)
        np.testing.assert_array_equal(np.asarray(back.convert(read_as)), expected)


def test_a_palette_with_a_transparent_entry_becomes_rgba_once_it_changes(piece: Piece) -> None:
    image = piece(37, 29).convert("P")
    data = file_bytes(image, "PNG", transparency=image.getpixel((0, 0)))
    with Image.open(io.BytesIO(data)) as source:
        expected = np.asarray(source.convert("RGBA"))
    assert (expected[..., 3] == 0).any()
    file = formats.decode(data)
    np.testing.assert_array_equal(file.pages[0].samples, expected)
    changed = expected.copy()
    changed[3, 4, 0] ^= 1
    np.testing.assert_array_equal(shown(formats.encode(file, [file.pages[0].with_samples(changed)])), changed)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_samples_come_back_as_they_were(channels: int) -> None:
    samples = random_samples(np.uint16, channels)
    data = write_png16(samples)
    np.testing.assert_array_equal(formats.decode(data).pages[0].samples, samples)
    np.testing.assert_array_equal(read_png16(rewritten(data)), samples)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_samples_come_back_as_they_were(dtype: type, channels: int, byteorder: str) -> None:
    samples = random_samples(dtype, channels)
    data = tiff(
        samples.squeeze(),
        byteorder=byteorder,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
    )
    with tifffile.TiffFile(io.BytesIO(rewritten(data))) as back:
        np.testing.assert_array_equal(back.asarray().reshape(samples.shape), samples)
        straight = int(tifffile.EXTRASAMPLE.UNASSALPHA)
        assert list(back.pages.first.extrasamples) == ([straight] if channels in (2, 4) else [])


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("profiled", [False, True])
def test_lossless_webp_samples_come_back_as_they_were(channels: int, profiled: bool) -> None:
    samples = random_samples(np.uint8, channels)
    profile = SRGB if profiled else b""
    data = file_bytes(Image.fromarray(samples), "WEBP", lossless=True, exact=True, icc_profile=profile)
    np.testing.assert_array_equal(shown(rewritten(data)), samples)


def test_a_lossless_picture_becomes_a_lossless_webp() -> None:
    samples = random_samples(np.uint8, 4)
    np.testing.assert_array_equal(shown(rewritten(file_bytes(Image.fromarray(samples)), "webp")), samples)


@pytest.mark.parametrize(("container", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("WEBP", "RGB"), ("WEBP", "RGBA")])
def test_lossy_samples_are_read_exactly_and_written_closely(piece: Piece, container: str, mode: str) -> None:
    data = file_bytes(piece(96, 80).convert(mode), container, quality=85)
    samples = shown(data)
    file = formats.decode(data)
    np.testing.assert_array_equal(file.pages[0].samples.squeeze(), samples)
    with Image.open(io.BytesIO(formats.encode(file, file.pages))) as back:
        assert back.format == container
        assert np.abs(np.asarray(back).astype(int) - samples).mean() < 1.5


def test_one_level_of_one_16_bit_sample_is_written() -> None:
    samples = random_samples(np.uint16, 3)
    file = formats.decode(write_png16(samples))
    samples[11, 3, 1] ^= 1
    np.testing.assert_array_equal(read_png16(formats.encode(file, [file.pages[0].with_samples(samples)])), samples)


# Colour profile


def wide(profile: bytes) -> bytes:
    """An sRGB profile made into an unknown wide one: another description and a redder red."""
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = {struct.unpack_from(">4sII", profile, 132 + 12 * i)[:2] for i in range(count)}
    red = dict(tags)[b"rXYZ"] + 8
    widened = profile[:red] + struct.pack(">iii", 0x9C18, 0x4FA5, 0x04FC) + profile[red + 12 :]
    return widened.replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WIDE = wide(SRGB)


@every_container
@pytest.mark.parametrize("profile", [SRGB, WIDE], ids=["srgb", "wide"])
def test_the_profile_is_kept_byte_for_byte(piece: Piece, container: str, profile: bytes) -> None:
    data = file_bytes(piece(37, 29), container, icc_profile=profile, **CONTAINERS[container])
    with Image.open(io.BytesIO(rewritten(data))) as back:
        assert back.info["icc_profile"] == profile


def test_a_gray_profile_is_kept_with_a_gray_picture(piece: Piece) -> None:
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    data = file_bytes(piece(37, 29).convert("L"), icc_profile=profile)
    with Image.open(io.BytesIO(rewritten(data))) as back:
        assert back.info["icc_profile"] == profile


def test_no_profile_is_made_up(piece: Piece) -> None:
    with Image.open(io.BytesIO(rewritten(file_bytes(piece(37, 29))))) as back:
        assert "icc_profile" not in back.info


# What is told about the picture

ARTIST = "Ann Ångström (Studio)"
COPYRIGHT = "© 2026 Ann"
SERIAL = b"SN-0815-4711"


def exiftool(data: bytes, *arguments: str) -> bytes:
    return subprocess.run(["exiftool", *arguments, "-"], input=data, capture_output=True, check=True).stdout


def described(data: bytes) -> dict[str, Any]:
    """Everything that exiftool finds, as group:tag → value; numbers as numbers."""
    (found,) = json.loads(exiftool(data, "-json", "-n", "-G1", "-a"))
    return {name: value for name, value in found.items() if not name.startswith(("System", "ExifTool", "Source"))}


@pytest.fixture(scope="session", params=CONTAINERS)
def tagged(request: pytest.FixtureRequest, piece: Piece, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that says all that a camera and an editor can say."""
    thumbnail = tmp_path_factory.mktemp("thumbnail") / "thumbnail.jpg"
    piece(24, 18).save(thumbnail)
    container: str = request.param
    plain = file_bytes(piece(37, 29), container, dpi=(300, 300), **CONTAINERS[container])
    return exiftool(
        plain,
        f"-IFD0:Artist={ARTIST}",
        f"-IFD0:Copyright={COPYRIGHT}",
        "-IFD0:ImageDescription=Mud",
        "-IFD0:Orientation#=6",
        "-IFD0:XResolution=300",
        "-IFD0:YResolution=300",
        "-IFD0:ResolutionUnit=inches",
        "-IFD0:Make=Acme",
        "-IFD0:Model=Box",
        "-IFD0:Software=Brush 3",
        "-ExifIFD:CreateDate=2026:01:01 00:00:00",
        "-ExifIFD:UserComment=at home",
        f"-ExifIFD:SerialNumber={SERIAL.decode()}",
        "-GPS:GPSLatitude=48.2",
        "-GPS:GPSLatitudeRef=N",
        f"-IFD1:ThumbnailImage<={thumbnail}",
        "-XMP-dc:Creator=Ann",
        "-XMP-xmpMM:HistoryAction=saved",
    )


def test_author_copyright_and_description_are_kept(tagged: bytes) -> None:
    told = described(rewritten(tagged))
    assert told["IFD0:Artist"] == ARTIST
    assert told["IFD0:Copyright"] == COPYRIGHT
    assert told["IFD0:ImageDescription"] == "Mud"


def test_the_author_goes_along_into_another_format(tagged: bytes) -> None:
    told = described(rewritten(tagged, "tiff"))
    assert (told["IFD0:Artist"], told["IFD0:Copyright"]) == (ARTIST, COPYRIGHT)


def test_orientation_and_resolution_are_kept(tagged: bytes) -> None:
    told = described(rewritten(tagged))
    assert told["IFD0:Orientation"] == 6
    assert told["IFD0:XResolution"] == pytest.approx(300, abs=0.01)
    assert told["IFD0:YResolution"] == pytest.approx(300, abs=0.01)


def test_the_samples_are_not_turned(tagged: bytes) -> None:
    picture = formats.decode(tagged).pages[0]
    assert (picture.width, picture.height) == (37, 29)


def test_place_camera_thumbnail_and_history_stay_behind(tagged: bytes) -> None:
    private: tuple[str, ...] = (
        "GPS:",
        "IFD1:",
        "XMP-xmpMM",
        "IFD0:Make",
        "IFD0:Model",
        "IFD0:Software",
        "ExifIFD:SerialNumber",
    )
    private += ("ExifIFD:CreateDate", "ExifIFD:UserComment")

    def told(data: bytes) -> set[str]:
        return {start for start in private for name in described(data) if name.startswith(start)}

    assert {"GPS:", "XMP-xmpMM", "IFD0:Make", "ExifIFD:SerialNumber"} <= told(tagged)
    assert SERIAL in tagged
    written = rewritten(tagged)
    assert told(written) == set()
    assert SERIAL not in written


# What cannot be cloaked as it is


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"Dear diary, this is not a picture.\n" * 20, "not_a_picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>', "not_a_picture"),
        (b"gimp xcf v011\0", "damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0heic", "damaged"),
        (b"\xff\x0a", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (file_bytes(Image.new("RGB", (64, 64)), "GIF"), "not_a_picture"),
        (tiff(np.zeros((40, 50, 3), np.uint32), photometric="rgb"), "depth"),
    ],
    ids=[
        *("empty", "text", "svg", "xcf-start", "heic-start", "jxl-start", "png-start", "jpeg-start", "gif", "32-bit"),
    ],
)
def test_what_is_no_usable_picture_is_refused(data: bytes, code: str) -> None:
    with refusal(code):
        formats.decode(data)


@every_container
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_cut_short_is_refused_by_its_format(piece: Piece, container: str, share: float) -> None:
    data = file_bytes(piece(96, 80), container, **CONTAINERS[container])
    with refusal("damaged") as caught:
        formats.decode(data[: int(len(data) * share)])
    assert container in caught.value.sentence


@pytest.mark.parametrize("compression", [6, 9, 34661, 34676, 12345])
def test_a_tiff_that_is_packed_oddly_is_not_called_damaged(compression: int) -> None:
    """JPEG of the old kind, two of JBIG, SGI's, and one that nobody knows."""
    data = tiff(np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3), photometric="rgb")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages.first.tags[259].valueoffset
    odd = data[:place] + struct.pack("<H", compression) + data[place + 2 :]
    with refusal("compression"):
        formats.decode(odd)


def test_a_bit_flipped_in_a_png_is_noticed(piece: Piece) -> None:
    data = bytearray(file_bytes(piece(96, 80)))
    data[len(data) // 2] ^= 0x10
    with refusal("damaged"):
        formats.decode(bytes(data))


@pytest.mark.parametrize("container", ["PNG", "WEBP"])
def test_an_animation_is_refused(piece: Piece, container: str) -> None:
    frames = [piece(37, 29), piece(37, 29).rotate(180)]
    with refusal("several_pages"):
        formats.decode(file_bytes(frames[0], container, save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (70_000, 40)])
def test_a_huge_claim_is_refused_before_memory_is_taken(width: int, height: int) -> None:
    data = png_header(width, height, 8, 2) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refusal("too_large") as caught:
        formats.decode(data)
    assert f"{width}×{height} px" in caught.value.sentence
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the claim is 10 GB


@pytest.mark.parametrize("colours", ["rgb", "palette"])
def test_the_pages_of_a_file_are_counted_together(monkeypatch: pytest.MonkeyPatch, colours: str) -> None:
    pages = np.zeros((30, 300, 300, *([3] if colours == "rgb" else [])), np.uint8)
    table = {"colormap": np.zeros((3, 256), np.uint16)} if colours == "palette" else {}
    data = tiff(pages, photometric=colours, metadata=None, compression="zlib", **table)
    monkeypatch.setattr(file, "free_memory", lambda: 7e6)  # 30 pages of 0.27 MB in RGB
    with refusal("too_large") as caught:
        formats.decode(data)
    assert "30 pages" in caught.value.sentence
    monkeypatch.setattr(file, "free_memory", lambda: 9e6)
    assert len(formats.decode(data).pages) == 30


DEEP = write_png16(random_samples(np.uint16, 3))
CLEAR = file_bytes(Image.fromarray(random_samples(np.uint8, 4)))


@pytest.mark.parametrize(
    ("data", "format", "reason"),
    [
        (DEEP, "jpeg", "JPEG cannot hold 16 bits"),
        (DEEP, "webp", "WEBP cannot hold 16 bits"),
        (CLEAR, "jpeg", "JPEG cannot hold transparency"),
        (CLEAR, "gif", "PNG, JPEG, WebP, TIFF, JPEG XL, AVIF and OpenEXR"),
    ],
)
def test_a_format_that_cannot_hold_the_picture_is_refused(data: bytes, format: str, reason: str) -> None:
    with refusal("format") as caught:
        rewritten(data, format)
    assert reason in caught.value.sentence


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_16_bits_and_transparency_go_into_formats_that_hold_them(format: str) -> None:
    samples = random_samples(np.uint16, 4)
    written = rewritten(write_png16(samples), format)
    back = read_png16(written) if format == "png" else tifffile.imread(io.BytesIO(written))
    np.testing.assert_array_equal(back, samples)
