"""JPEG (ITU-T T.81, JFIF, Adobe's marker): the change is added to the file's own coefficients.

So a JPEG keeps its quantisation tables, subsampling and colour transform, a block that the cloak does not touch keeps
every bit, and the file grows by what the cloak adds alone. libvips decodes, jpeglib reads and writes coefficients.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jpeglib
import numpy as np
import pyvips
from numpy.typing import NDArray

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats import vips
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claim, damaged, same
from glaze_server.engine.jpeg import COSINES, TO_YCC
from glaze_server.engine.metadata import KEEP_ALL, SAFE, Metadata, exif, iptc, xmp
from glaze_server.engine.picture import Picture, interpreted

NAME = "jpeg"
FINER = ((1, 0), (2, 7), (2, 5), (2, 0), (4, 0), (255, 0))
"""The file's own tables, then finer ones: the divisor, and the diagonal from which on entries are divided."""
LEVELS = len(FINER)

APP0, APP1, APP2, APP13, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
SEGMENT = 65533
"""Bytes that a segment holds at most."""
GUID = 32
"""Letters by which a packet of XMP names its extension."""
FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Sequential and progressive frames; the others are lossless or hierarchical."""
BASELINE, PROGRESSIVE = "turbo210", "mozjpeg403"
"""jpeglib's libraries; mozjpeg's writes progressive files alone, turbo's baseline alone."""
WRITTEN = ("Y", "Cb", "Cr")
"""jpeglib's names of the components that it writes; the fourth, black, it leaves as it was, and so does `colour`."""
MODELS = {1: "G", 3: "RGB", 4: "CMYK"}
YCC, WAVES = np.array(TO_YCC), np.array(COSINES)

Values = NDArray[np.float64]


def holds(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8\xff")


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content, up to the first scan. Raises BadInput for a file that ends before."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield marker, data[at + 4 : at + 2 + size]
        if marker == 0xDA:
            return
        at += 2 + size
    raise damaged(NAME)


def decode(data: bytes) -> PictureFile:
    found = list(segments(data))
    frame = next(
        ((marker, body) for marker, body in found if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)), None
    )
    if frame is None or len(frame[1]) < 6:
        raise damaged(NAME)
    depth, height, width, components = struct.unpack_from(">BHHB", frame[1])
    if frame[0] not in FRAMES or depth != 8:
        raise BadInput("depth", "This JPEG file is of a kind that is hardly ever used: lossless, or of 12 bits.")
    check_claim(width, height, components, NAME)
    samples, image = vips.samples(data, NAME, _check)
    profile = vips.profile(image)
    model = MODELS.get(samples.shape[2])
    if model is None:
        raise BadInput("depth", f"Pictures with {samples.shape[2]} channels are not supported.")
    about = _about(found, profile)
    return PictureFile(NAME, (interpreted(samples, model, profile),), about, data, lossy=True, own=found)


def _check(header: pyvips.Image) -> None:
    if header.bands == 4 and header.interpretation != "cmyk":
        raise BadInput("colour_model", f"Pictures in {header.interpretation} are not supported.")


def _about(found: Sequence[tuple[int, bytes]], profile: bytes) -> Metadata:
    def first(marker: int, start: bytes) -> bytes:
        return next((body[len(start) :] for kind, body in found if kind == marker and body.startswith(start)), b"")

    block = first(APP1, EXIF)
    jfif = first(APP0, b"JFIF\0")
    resolution = exif.resolution(block)
    if len(jfif) >= 7 and jfif[2] in (1, 2):
        across, down = struct.unpack_from(">HH", jfif, 3)
        scale = 1.0 if jfif[2] == 1 else 2.54
        resolution = (across * scale, down * scale)
    packet = xmp.joined(first(APP1, XMP), _extension(found))
    photoshop = [body for kind, body in found if kind == APP13 and body.startswith(iptc.PHOTOSHOP)]
    resources = b"".join(body.removeprefix(iptc.PHOTOSHOP) for body in photoshop)
    return Metadata(profile, block, packet, iptc.from_photoshop(resources), resolution=resolution)


def _extension(found: Sequence[tuple[int, bytes]]) -> bytes:
    """What did not go into the packet of XMP; b"" where it is not whole."""
    start = len(MORE_XMP) + GUID
    pieces = [body[start:] for kind, body in found if kind == APP1 and body.startswith(MORE_XMP) and len(body) > start]
    return b"".join(piece[8:] for piece in sorted(pieces, key=lambda piece: piece[4:8]))


def _extended(extension: bytes) -> list[tuple[int, bytes]]:
    """The segments that hold it."""
    name = MORE_XMP + xmp.guid(extension).encode()
    step = SEGMENT - len(name) - 8
    return [
        (APP1, name + struct.pack(">II", len(extension), at) + extension[at : at + step])
        for at in range(0, len(extension), step)
    ]


def check(file: PictureFile) -> None:
    if file.pages[0].samples.dtype != np.uint8:
        raise BadInput("format", "JPEG cannot hold 16 bits a channel; choose PNG or TIFF.")
    if file.pages[0].has_alpha:
        raise BadInput("format", "JPEG cannot hold transparency; choose PNG, WebP or TIFF.")
    if file.pages[0].model == "Lab":
        raise BadInput("format", "JPEG cannot hold Lab; choose TIFF.")


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    own: list[tuple[int, bytes]] = file.own if file.format == NAME else []
    if not own:
        return _with_metadata(_fresh(pages[0]), own, about, wanted)
    data = file.data if same(pages, file) else _moved(file, pages[0], wanted.level)
    return _with_metadata(data, own, about, wanted)


def _fresh(picture: Picture) -> bytes:
    """A picture from another format: quality 95 without subsampling."""
    samples = picture.samples
    options = {"Q": 95, "subsample_mode": "off", "optimize_coding": True}
    if picture.model == "CMYK":
        image = pyvips.Image.new_from_array(samples, interpretation="cmyk")
        return bytes(image.jpegsave_buffer(**options))
    return vips.packed(samples, NAME, **options)


def _moved(file: PictureFile, picture: Picture, level: int) -> bytes:
    """The file with the change of its samples added to its coefficients."""
    change = picture.samples.astype(np.float64) - file.pages[0].samples
    adobe = next((body for marker, body in file.own if marker == APP14 and body.startswith(b"Adobe")), b"")
    transform = adobe[11] if len(adobe) > 11 else None
    progressive = any(marker in (0xC2, 0xCA) for marker, _ in file.own)
    with tempfile.TemporaryDirectory() as folder:
        given, written = Path(folder, "given.jpg"), Path(folder, "written.jpg")
        given.write_bytes(file.data)
        jpeglib.version.set(PROGRESSIVE if progressive else BASELINE)
        try:
            jpeg = jpeglib.read_dct(str(given))
            jpeg.load()
            _add(jpeg, _components(change, transform, jpeg), *FINER[level])
            jpeg.write_dct(str(written), flags=[] if progressive else ["+OPTIMIZE_CODING"])
            _check_written(jpeg, jpeglib.read_dct(str(written)))
        except OSError as error:
            raise damaged(NAME) from error
        return written.read_bytes()


def _check_written(wanted: jpeglib.DCTJPEG, found: jpeglib.DCTJPEG) -> None:
    """Raise BadInput where jpeglib could not write what it was given: a table for each component, for one."""
    for number, name in enumerate(WRITTEN[: found.num_components]):
        same_table = np.array_equal(wanted.get_component_qt(number), found.get_component_qt(number))
        if not same_table or not np.array_equal(getattr(wanted, name), getattr(found, name)):
            sentence = "The compression of this JPEG file is of a kind that cannot be written again."
            raise BadInput("compression", sentence, "Name a PNG or TIFF file as the result.")


def _components(change: Values, transform: int | None, jpeg: jpeglib.DCTJPEG) -> Values:
    """The change (H, W, C) as the file's own components have it."""
    if change.shape[2] == 4:
        inverted = transform is not None
        stored = -change if inverted else change
        if transform == 2:  # YCCK
            return np.concatenate([-stored[..., :3] @ YCC.T, stored[..., 3:]], 2)
        return stored
    return change @ YCC.T if jpeg.jpeg_color_space.name.endswith("YCbCr") else change


def _add(jpeg: jpeglib.DCTJPEG, change: Values, divisor: int, diagonal: int) -> None:
    """Add the change of each component (H, W, C) to the coefficients, in tables finer by about `divisor`.

    A finer table holds divisors of the own one, so that a coefficient that does not change keeps its value.
    """
    tables = np.asarray(jpeg.qt).astype(np.int64)
    numbers = np.asarray(jpeg.quant_tbl_no)
    black = len(numbers) == 4
    if black and len(tables) > 1:  # jpeglib writes two tables at most
        divisor = 1
    finer = _finer(tables, divisor, diagonal)
    factors = np.asarray(jpeg.samp_factor).reshape(-1, 2)
    down, across = factors[:, 0].max() // factors[:, 0], factors[:, 1].max() // factors[:, 1]
    for number, name in enumerate(WRITTEN[: change.shape[2]]):
        coefficients, own, fine = getattr(jpeg, name), tables[numbers[number]], finer[numbers[number]]
        rows, columns = coefficients.shape[:2]
        plane = _averaged(change[..., number], int(down[number]), int(across[number]), rows * 8, columns * 8)
        blocks = plane.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
        moved = WAVES @ blocks @ WAVES.T
        scaled = coefficients * (own // fine) + np.rint(moved / fine)
        setattr(jpeg, name, np.clip(scaled, -1023, 1023).astype(np.int16))
    if black and divisor > 1:  # it keeps its coefficients, and so its table
        jpeg.quant_tbl_no = np.array([*numbers[:3], len(tables)])
        finer = np.concatenate([finer, tables[numbers[3]][None]])
    jpeg.qt = finer.astype(np.uint16)


def _finer(tables: NDArray[np.int64], divisor: int, diagonal: int) -> NDArray[np.int64]:
    """For each entry from a diagonal on its largest divisor that is at most 1/`divisor` of it."""
    if divisor == 1:
        return tables
    found = np.ones_like(tables)
    for candidate in range(2, int(tables.max()) + 1):
        fits = (tables % candidate == 0) & (candidate * divisor <= tables)
        found[fits] = candidate
    return np.where(np.add.outer(np.arange(8), np.arange(8)) >= diagonal, found, tables)


def _averaged(plane: Values, down: int, across: int, rows: int, columns: int) -> Values:
    """A plane at the size of a subsampled component, (rows, columns), its edges drawn out."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, max(0, rows * down - height)), (0, max(0, columns * across - width))), mode="edge")
    plane = plane[: rows * down, : columns * across]
    averaged: Values = plane.reshape(rows, down, columns, across).mean(axis=(1, 3))
    return averaged


def _with_metadata(data: bytes, own: Sequence[tuple[int, bytes]], about: Metadata, wanted: Wanted) -> bytes:
    """The file with its tables, frames and scans as they are, and what is told of it in front."""
    told: list[tuple[int, bytes]] = [
        (APP0, body[:12] + bytes(2)) for marker, body in own if marker == APP0 and body.startswith(b"JFIF\0")
    ][:1]
    if not own:
        told = (
            [(APP0, b"JFIF\0\1\1\0" + struct.pack(">HHBB", 1, 1, 0, 0))]
            if not about.resolution
            else [
                (
                    APP0,
                    b"JFIF\0\1\1\1"
                    + struct.pack(">HHBB", *(min(65535, round(value)) for value in about.resolution), 0, 0),
                )
            ]
        )
    told += _blocks(about)
    step = SEGMENT - len(ICC) - 2
    pieces = [about.profile[at : at + step] for at in range(0, len(about.profile), step)]
    told += [(APP2, ICC + bytes([number, len(pieces)]) + piece) for number, piece in enumerate(pieces, 1)]
    if wanted.metadata == KEEP_ALL:
        told += [(marker, body) for marker, body in own if marker == COMMENT]
    start = 2
    kept = b""
    for marker, body in segments(data):
        whole = data[start : start + 4 + len(body)]
        while whole[:2] != bytes([0xFF, marker]):  # fill bytes
            start += 1
            whole = data[start : start + 4 + len(body)]
        start += len(whole)
        if marker == 0xDA or marker == APP14 or not (0xE0 <= marker <= 0xEF or marker == COMMENT):
            kept += whole
    head = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in told)
    return b"\xff\xd8" + head + kept + _scans(data, start)


def _blocks(about: Metadata) -> list[tuple[int, bytes]]:
    """EXIF, XMP and IPTC; only who made it of a block that does not go into a segment.

    Raises BadInput where even that does not.
    """
    block, records = about.described, about.iptc
    if len(EXIF + block) > SEGMENT:
        block = exif.kept(block, SAFE)
    if len(iptc.PHOTOSHOP + iptc.as_photoshop(records)) > SEGMENT:
        records = iptc.kept(records, SAFE)
    packet, extension = xmp.split(about.xmp, SEGMENT - len(XMP))
    told = [(APP1, EXIF + block)] if block else []
    told += [(APP1, XMP + packet)] if packet else []
    told += _extended(extension) if extension else []
    told += [(APP13, iptc.PHOTOSHOP + iptc.as_photoshop(records))] if records else []
    if any(len(body) > SEGMENT for _, body in told):
        sentence = "What this picture tells of its author and rights is too long for a JPEG file."
        raise BadInput("format", sentence, "Choose PNG or TIFF, or keep no metadata.")
    return told


def _scans(data: bytes, start: int) -> bytes:
    """From the first scan's data to the end of the picture; what follows it stays behind."""
    at = start
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return data[start:] + b"\xff\xd9"
        if data[at + 1] == 0xD9:
            return data[start : at + 2]
        if data[at + 1] in (0, 0xFF, *range(0xD0, 0xD8)):
            at += 1 if data[at + 1] == 0xFF else 2
            continue
        at += 2 + struct.unpack_from(">H", data.ljust(at + 4, b"\0"), at + 2)[0]
