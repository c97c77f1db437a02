"""What a file tells of its author stays, what gives the artist away goes: read by exiftool."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glaze_server.engine import formats
from glaze_server.engine.formats import Wanted
from tests.corpus import cases, modern, readers

KEPT = {
    "IFD0:Artist": "Ann Ångström",
    "IFD0:Copyright": "© 2026 Ann",
    "IFD0:ImageDescription": "Mud",
    "XMP-dc:Creator": "Ann Ångström",
    "XMP-dc:Rights": "© 2026 Ann",
    "XMP-dc:Title": "A puddle",
    "XMP-dc:Description": "Mud",
    "XMP-dc:Subject": ["mud", "rain"],
}
IPTC = {
    "IPTC:By-line": "Ann",
    "IPTC:ObjectName": "A puddle",
    "IPTC:Keywords": ["mud", "rain"],
    "IPTC:CopyrightNotice": "Ann",
}
PRIVATE = {
    "GPS:GPSLatitude": 48.2,
    "IFD0:Make": "Acme",
    "ExifIFD:SerialNumber": "SN-0815",
    "ExifIFD:UserComment": "at home",
    "XMP-xmpMM:HistoryAction": "saved",
    "XMP-xmp:CreatorTool": "Brush 3",
    "XMP-exif:GPSLatitude": 48.2,
    "XMP-aux:SerialNumber": "SN-0815",
}
LOOKS = {"IFD0:Orientation": 6}
CONTAINERS = ("PNG", "JPEG", "WEBP", "TIFF")


def exiftool(data: bytes, *arguments: str) -> bytes:
    return subprocess.run(["exiftool", *arguments, "-"], input=data, capture_output=True, check=True).stdout


def described(data: bytes) -> dict[str, Any]:
    """Everything that exiftool finds, as group:tag → value; numbers as numbers."""
    (found,) = json.loads(exiftool(data, "-json", "-n", "-G1", "-a"))
    return dict(found)


@pytest.fixture(scope="module", params=CONTAINERS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that tells everything, with a thumbnail."""
    container: str = request.param
    thumbnail = tmp_path_factory.mktemp("thumbnail") / "thumbnail.jpg"
    Image.fromarray(cases.painted("RGB", "u1", 16, 20)).save(thumbnail)
    data = io.BytesIO()
    Image.fromarray(cases.painted("RGB", "u1")).save(
        data, container, **({"lossless": True} if container == "WEBP" else {})
    )
    wanted = {**KEPT, **PRIVATE, **LOOKS, **(IPTC if container in ("JPEG", "TIFF") else {})}
    arguments = []
    for name, value in wanted.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"-{name}#={one}" for one in values]
    written = exiftool(data.getvalue(), *arguments, "-GPS:GPSLatitudeRef=N", f"-IFD1:ThumbnailImage<={thumbnail}")
    assert expected(KEPT, described(written)) == KEPT
    return written


def expected(names: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in names}


def rewritten(data: bytes, wanted: Wanted, changed: bool, format: str = "") -> bytes:
    file = formats.decode(data)
    samples = file.pages[0].samples.copy()
    if changed:
        samples[8:16, 8:16] ^= np.uint8(8)
    return formats.encode(file, [file.pages[0].with_samples(samples)], format, wanted)


@pytest.mark.parametrize("changed", [False, True], ids=["unchanged", "changed"])
def test_safe_keeps_the_author_and_nothing_private(told: bytes, changed: bool) -> None:
    written = rewritten(told, Wanted(), changed)
    found = described(written)
    assert expected(KEPT, found) == KEPT
    assert expected(LOOKS, found) == LOOKS
    if "IPTC:By-line" in described(told):
        assert expected(IPTC, found) == IPTC
    assert [name for name in PRIVATE if name in found] == []
    assert not any(name.startswith(("GPS:", "IFD1:", "XMP-exif", "XMP-xmpMM")) for name in found)
    assert b"SN-0815" not in written and b"Acme" not in written


@pytest.mark.parametrize("changed", [False, True], ids=["unchanged", "changed"])
def test_keep_all_keeps_all_but_the_thumbnail(told: bytes, changed: bool) -> None:
    written = rewritten(told, Wanted(metadata="keep-all"), changed)
    found = described(written)
    for names in (KEPT, LOOKS, PRIVATE):
        assert expected(names, found) == names
    assert exiftool(written, "-b", "-ThumbnailImage") == b""


@pytest.mark.parametrize("changed", [False, True], ids=["unchanged", "changed"])
def test_none_keeps_how_the_picture_is_shown_alone(told: bytes, changed: bool) -> None:
    found = described(rewritten(told, Wanted(metadata="none"), changed))
    assert expected(LOOKS, found) == LOOKS
    assert [name for name in {**KEPT, **IPTC, **PRIVATE} if name in found] == []


@pytest.mark.parametrize("mode", ["safe", "keep-all", "none"])
def test_mining_can_be_declared_prohibited(told: bytes, mode: str) -> None:
    found = described(rewritten(told, Wanted(metadata=mode, no_mining=True), True))
    assert found["XMP-plus:DataMining"] == "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"
    assert found["XMP-tdm:Reservation"] == 1
    assert ("XMP-dc:Title" in found) == (mode != "none")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "jxl", "avif"])
def test_the_author_goes_along_into_every_format(told: bytes, format: str) -> None:
    written = rewritten(told, Wanted(), True, format)
    found = described(written)
    assert expected(KEPT, found) == KEPT
    assert expected(LOOKS, found) == (LOOKS if format not in ("jxl", "avif") else {"IFD0:Orientation": 1})
    assert [name for name in PRIVATE if name in found] == []
    assert b"SN-0815" not in written and b"Acme" not in written


def test_what_a_telephone_tells_stays_behind() -> None:
    arguments = [f"-{name}#={value}" for name, value in {**KEPT, **PRIVATE}.items() if not isinstance(value, list)]
    data = exiftool(modern.heic(cases.painted("RGB", "u1"), "RGB"), *arguments, "-GPS:GPSLatitudeRef=N")
    kept = {name: value for name, value in KEPT.items() if not isinstance(value, list)}
    assert expected(kept, described(data)) == kept and "GPS:GPSLatitude" in described(data)
    written = rewritten(data, Wanted(), True, "png")
    found = described(written)
    assert expected(kept, found) == kept
    assert [name for name in PRIVATE if name in found] == []
    assert b"SN-0815" not in written and b"Acme" not in written


def test_what_png_tells_in_its_texts_goes_along() -> None:
    texts = {"Author": "Ann", "Title": "A puddle", "Comment": "at home", "Software": "Brush 3"}
    chunks = [cases.chunk(b"tEXt", f"{name}\0{text}".encode()) for name, text in texts.items()]
    data = cases.png(cases.painted("RGB", "u1"), 2, *chunks)
    found = described(rewritten(data, Wanted(), True))
    assert (found["PNG:Author"], found["PNG:Title"]) == ("Ann", "A puddle")
    assert "PNG:Comment" not in found and "PNG:Software" not in found
    assert described(rewritten(data, Wanted(), True, "tiff"))["IFD0:Artist"] == "Ann"


@pytest.mark.parametrize("mode", ["safe", "keep-all", "none"])
def test_a_jfif_thumbnail_stays_behind_and_is_not_claimed(mode: str) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (48, 40), (90, 120, 60)).save(plain, "JPEG", dpi=(300, 300), quality=90)
    header = b"JFIF\0\1\2\1" + struct.pack(">HHBB", 300, 300, 8, 8) + b"\xaa" * 192
    data = b"\xff\xd8\xff\xe0" + struct.pack(">H", len(header) + 2) + header + plain.getvalue()[20:]
    assert described(data)["JFIF:ThumbnailWidth"] == 8
    for changed in (False, True):
        written = rewritten(data, Wanted(metadata=mode), changed)
        found = described(written)
        assert not {"JFIF:ThumbnailWidth", "JFIF:ThumbnailHeight", "JFIF:ThumbnailTIFF"} & found.keys()
        assert "ExifTool:Warning" not in found
        assert found["JFIF:XResolution"] == 300
        assert b"\xaa" * 16 not in written
        assert readers.pillow(written).shape == (40, 48, 3)


def test_what_follows_the_picture_stays_behind() -> None:
    """A phone's second picture, or what an editor hides behind the end."""
    data = cases.jpeg(cases.painted("RGB", "u1"), "RGB", quality=90)
    for changed in (False, True):
        assert b"the uncloaked original" not in rewritten(data + b"the uncloaked original", Wanted(), changed)


def test_smaller_pages_of_a_tiff_stay_behind(tmp_path: Path) -> None:
    import tifffile

    samples, small = cases.painted("RGB", "u1"), cases.painted("RGB", "u1", 20, 24)
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        writer.write(samples, photometric="rgb", metadata=None)
        writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
    for changed in (False, True):
        written = rewritten(data.getvalue(), Wanted(), changed)
        assert small.tobytes() not in written
        with Image.open(io.BytesIO(written)) as image:
            assert getattr(image, "n_frames", 1) == 1
