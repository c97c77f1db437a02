"""TIFF (6.0, BigTIFF): every page, of every colour model and depth; tifffile reads and writes, directories are ours.

Where no sample of a page changes, its strips or tiles go back as they are, whatever their compression, and only what is
told of it is written anew.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tifffile
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from glaze_plugin.errors import BadInput
from glaze_server.engine.formats import directories
from glaze_server.engine.formats.directories import Directory, Layout, Tag
from glaze_server.engine.formats.file import PictureFile, Wanted, check_claims, damaged, same, unchanged
from glaze_server.engine.metadata import KEEP_ALL, Metadata, exif, iptc, xmp
from glaze_server.engine.picture import Picture, Samples, interpreted

NAME = "tiff"
QUALITIES = (90, 95, 100)
"""Of pages that are JPEG compressed."""
LEVELS = len(QUALITIES)

XMP, IPTC, PROFILE, REDUCED = 700, 33723, 34675, 254
STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317, 320),
    *(321, 322, 323, 324, 325, 338, 339, 340, 341, 347, 529, 530, 531, 532),
}
"""Tags of how the samples are laid out."""
STRIPS, TILES = (273, 279), (324, 325)
"""Tags of their offsets and lengths."""
LOOKS = {*exif.LOOKS, 301, 318, 319, 332, 333, 334, 336, PROFILE}
COPIES = {330, 34377, 37724, 50784, 513, 514}
"""Sub-directories with smaller pictures, Photoshop's resources and layers, thumbnails."""
KINDS = {
    *(COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE, COMPRESSION.PACKBITS),
    *(COMPRESSION.LZMA, COMPRESSION.ZSTD, COMPRESSION.JPEG),
}
"""Compressions in which changed samples are written; the others become deflate."""
SUBSAMPLINGS = {(1, 1), (2, 1), (2, 2), (4, 1)}
"""Those that tifffile writes, across and down; the others become the first."""
DEPTHS = {(1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (3, 16), (3, 32), (3, 64)}
"""Sample format (1 unsigned, 3 float) and bits."""
MODELS = {
    PHOTOMETRIC.MINISWHITE: "G",
    PHOTOMETRIC.MINISBLACK: "G",
    PHOTOMETRIC.RGB: "RGB",
    PHOTOMETRIC.PALETTE: "RGB",
    PHOTOMETRIC.YCBCR: "RGB",
    PHOTOMETRIC.SEPARATED: "CMYK",
    PHOTOMETRIC.CIELAB: "Lab",
    PHOTOMETRIC.ICCLAB: "Lab",
}

logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Page:
    """How one page lies in its file, its samples being RGB where it holds YCbCr.

    rest: channels beyond colour and alpha. extras: what those after colour are. pieces: offset and length of each strip
    or tile.
    """

    photometric: PHOTOMETRIC
    options: dict[str, Any]
    rest: Samples
    extras: tuple[int, ...]
    narrow: bool
    lossy: bool
    pieces: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Own:
    """A file's layout, all of its directories, and which of them are pictures."""

    layout: Layout
    directories: list[Directory]
    pictures: list[int]
    pages: list[Page]


def holds(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def decode(data: bytes) -> PictureFile:
    found = directories.read(data)
    if found is None or not found[1]:
        raise damaged(NAME)
    shape, tree = found
    pictures = [number for number, page in enumerate(tree) if not _reduced(page, shape)] or [0]
    check_claims([_claim(tree[number], shape) for number in pictures], NAME)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            read = [_read(tiff.pages[number], len(data), tree[number]) for number in pictures]  # type: ignore[arg-type]
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes tifffile or a codec raise
        raise damaged(NAME) from error
    own = Own(shape, tree, pictures, [page for _, page in read])
    return PictureFile(
        NAME,
        tuple(picture for picture, _ in read),
        _about(tree[pictures[0]], shape),
        data,
        lossy=any(page.lossy for page in own.pages),
        narrow=any(page.narrow for page in own.pages),
        own=own,
    )


def _reduced(page: Directory, shape: Layout) -> bool:
    return any(tag.number == REDUCED and directories.numbers(tag, shape)[0] & 1 for tag in page)


def _claim(page: Directory, shape: Layout) -> tuple[int, int, float]:
    """Width, height, and bytes that a pixel will take."""
    first = {tag.number: values for tag in page if (values := directories.numbers(tag, shape))}
    bits = first.get(258, (1,))
    depth = max(bits) * max(first.get(277, (1,))[0], len(bits)) / 8
    least = 3.0 if first.get(262, (0,))[0] == PHOTOMETRIC.PALETTE else 1.0
    return first.get(256, (0,))[0], first.get(257, (0,))[0], max(least, depth)


def _read(page: TiffPage, size: int, tags: Directory) -> tuple[Picture, Page]:
    """A page's picture, and how it lies in its file."""
    bits = page.bitspersample
    kind = page.sampleformat
    model = MODELS.get(page.photometric)  # type: ignore[call-overload]
    ycc = page.photometric == PHOTOMETRIC.YCBCR
    if ycc and (page.compression not in (COMPRESSION.JPEG, COMPRESSION.OJPEG) or page.planarconfig == 2):
        model = None
    if model is None or page.imagedepth != 1:
        raise BadInput("colour_model", "This TIFF file has a colour model that is not supported.")
    if (kind, bits) not in DEPTHS and not (model == "Lab" and (kind, bits) in {(2, 8), (2, 16)}):
        raise BadInput("depth", f"TIFF pictures with {bits} bits a channel of this kind are not supported.")
    if any(place + length > size for place, length in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise damaged(NAME)
    samples = _unpacked(page)
    planar = page.planarconfig == 2 and page.samplesperpixel > 1
    samples = np.moveaxis(samples, 0, -1) if planar else samples
    samples = samples.reshape(page.imagelength, page.imagewidth, -1)
    if samples.dtype == bool or bits < 8:
        samples = samples.astype(np.uint8) * (1 if page.photometric == PHOTOMETRIC.PALETTE else 255 // (2**bits - 1))
    samples = samples.astype(samples.dtype.newbyteorder("="))
    if samples.dtype.kind == "i":
        samples = samples.view(f"u{samples.dtype.itemsize}")
    colours = 1 if page.photometric == PHOTOMETRIC.PALETTE else {"G": 1, "RGB": 3, "CMYK": 4, "Lab": 3}[model]
    extras = tuple(int(extra) for extra in page.extrasamples)
    if samples.shape[2] != colours + len(extras):
        extras = (0,) * (samples.shape[2] - colours)
    if samples.shape[2] < colours:
        raise damaged(NAME)
    alpha = int(bool(extras) and extras[0] in (1, 2))
    rest = samples[:, :, colours + alpha :]
    samples = _as_picture(samples[:, :, : colours + alpha], page.photometric)
    if page.photometric == PHOTOMETRIC.PALETTE:
        if page.colormap is None:
            raise damaged(NAME)
        samples = np.concatenate([(page.colormap.T >> 8).astype(np.uint8)[samples[:, :, 0]], samples[:, :, 1:]], 2)
    profile = next((tag.value for tag in tags if tag.number == PROFILE), b"")
    picture = interpreted(np.ascontiguousarray(samples), model + "A" * alpha, profile)
    narrow = bits < 8 or page.photometric == PHOTOMETRIC.PALETTE
    lossy = page.compression == COMPRESSION.JPEG
    options = _options(page, planar, lossy)
    if narrow:
        options |= {"compression": COMPRESSION.ADOBE_DEFLATE, "predictor": 2}
    picture = replace(picture, premultiplied=extras[:1] == (1,))
    photometric = PHOTOMETRIC.RGB if ycc else PHOTOMETRIC(page.photometric)
    pieces = tuple(zip(page.dataoffsets, page.databytecounts, strict=True))
    return picture, Page(photometric, options, rest, extras, narrow, lossy, pieces)


def _unpacked(page: TiffPage) -> Samples:
    """Raises BadInput for a compression that tifffile does not know, JPEG of the old kind among them."""
    old = page.compression == COMPRESSION.OJPEG
    try:
        if old or page.compression in tifffile.TIFF.DECOMPRESSORS:
            return page.asarray()
    except Exception:
        if not old:
            raise
    raise BadInput(
        "compression",
        "This TIFF file is packed in a way that is hardly ever used.",
        "Save it again with LZW or deflate.",
    )


def _as_picture(samples: Samples, photometric: int) -> Samples:
    """Samples as `Picture` has them from those of a file, and back again: each is its own inverse."""
    if photometric == PHOTOMETRIC.MINISWHITE and samples.dtype.kind == "u":
        samples = samples.copy()
        samples[:, :, 0] = np.iinfo(samples.dtype).max - samples[:, :, 0]
    if photometric == PHOTOMETRIC.CIELAB and samples.dtype.kind == "u":
        samples = samples.copy()
        samples[:, :, 1:3] ^= samples.dtype.type(1 << (8 * samples.dtype.itemsize - 1))
    return samples


def _options(page: TiffPage, planar: bool, lossy: bool) -> dict[str, Any]:
    """How tifffile is to lay out the page again."""
    compression = COMPRESSION(page.compression) if page.compression in KINDS else COMPRESSION.ADOBE_DEFLATE
    options: dict[str, Any] = {"planarconfig": "separate" if planar else "contig", "compression": compression}
    if lossy and not planar and page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR):
        options["subsampling"] = _subsampling(page)
        options["compressionargs"] = {"outcolorspace": PHOTOMETRIC(page.photometric)}
    if page.predictor != 1 and not lossy:
        options["predictor"] = int(page.predictor)
    if page.is_tiled:
        options["tile"] = (page.tilelength, page.tilewidth)
    else:
        options["rowsperstrip"] = max(1, min(page.rowsperstrip, page.imagelength))
    return options


def _subsampling(page: TiffPage) -> tuple[int, int]:
    """Of a page with JPEG inside: its own, or none where tifffile does not write that."""
    if page.photometric != PHOTOMETRIC.YCBCR:
        return 1, 1
    across, down = page.subsampling or (2, 2)
    block = 8 * max(across, down)
    fits = not page.is_tiled or (page.tilewidth % block == 0 and page.tilelength % block == 0)
    return (across, down) if fits and (across, down) in SUBSAMPLINGS else (1, 1)


def _about(page: Directory, shape: Layout) -> Metadata:
    values = {tag.number: tag.value for tag in page}
    simple = [
        exif.Entry(tag.number, tag.type, tag.count, tag.value)
        for tag in page
        if tag.number in exif.LOOKS + exif.AUTHOR and tag.type in exif.SIZES
    ]
    block = exif.write(shape.order, simple)
    return Metadata(
        values.get(PROFILE, b""), block, values.get(XMP, b""), values.get(IPTC, b""), resolution=exif.resolution(block)
    )


def check(file: PictureFile) -> None:
    """TIFF holds every picture."""


def encode(pages: Sequence[Picture], about: Metadata, file: PictureFile, wanted: Wanted) -> bytes:
    own: Own | None = file.own if file.format == NAME else None
    if own is None:
        block = exif.with_resolution(about.described, about.resolution)
        order = exif.read(block)[0]
        data = _packed(pages, [_page(page) for page in pages], order, False, 0)
        shape, tree = _tree(data)
        told = [*_simple(block), *_blocks(about)]
        return directories.rewritten(data, shape, [_merged(page, told) for page in tree])
    kept = [_kept(own.directories[number], wanted) for number in own.pictures]
    if same(pages, file):
        data, structure = file.data, [own.directories[number] for number in own.pictures]
        for number, page in enumerate(own.directories):
            if number not in own.pictures:
                data = directories.blot_pixels(data, own.layout, page)
        places = {tag.where for page in kept for tag in page}
        gone = [
            tag for page in own.directories for tag in page if tag.where not in places and tag.number not in STRUCTURE
        ]
        return directories.rewritten(
            data, own.layout, [_merged(*both) for both in zip(structure, kept, strict=True)], gone
        )
    still = [unchanged(*both) for both in zip(pages, file.pages, strict=True)]
    moved = [number for number, stays in enumerate(still) if not stays]
    layouts = [own.pages[number] for number in moved]
    data = _packed([pages[number] for number in moved], layouts, own.layout.order, own.layout.big, wanted.level)
    shape, packed = _tree(data)
    out, fresh, structure = bytearray(data), iter(packed), []
    for number, stays in enumerate(still):
        page = own.directories[own.pictures[number]]
        structure.append(_moved(page, own.pages[number], file.data, out, shape) if stays else next(fresh))
    added = [[_added(tag) for tag in page] for page in kept]
    return directories.rewritten(bytes(out), shape, [_merged(*both) for both in zip(structure, added, strict=True)])


def _moved(page: Directory, layout: Page, data: bytes, out: bytearray, shape: Layout) -> Directory:
    """A page's structure after its strips or tiles have been put at the end of another file of the same byte order."""
    places = []
    for start, length in layout.pieces:
        out += bytes(-len(out) % 8)
        places.append(len(out))
        out += data[start : start + length]
    offsets, lengths = TILES if "tile" in layout.options else STRIPS
    kept = [_added(tag) for tag in page if tag.number in STRUCTURE and tag.number not in (*STRIPS, *TILES)]
    sizes = [length for _, length in layout.pieces]
    return (*kept, directories.listed(offsets, places, shape), directories.listed(lengths, sizes, shape))


def _added(tag: Tag) -> Tag:
    """A tag of another file, with all that it points to."""
    inside = tag.inside and tuple(_added(one) for one in tag.inside)
    return replace(tag, where=-1, inside=inside)


def _tree(data: bytes) -> tuple[Layout, list[Directory]]:
    found = directories.read(data)
    assert found is not None
    return found


def _merged(page: Directory, told: Sequence[Tag]) -> Directory:
    """A page's structure, and what is told of it."""
    return (*(tag for tag in page if tag.number in STRUCTURE), *told)


def _page(picture: Picture) -> Page:
    """How a picture from another format is laid out."""
    photometric = {"G": PHOTOMETRIC.MINISBLACK, "CMYK": PHOTOMETRIC.SEPARATED, "Lab": PHOTOMETRIC.ICCLAB}.get(
        picture.model, PHOTOMETRIC.RGB
    )
    options = {
        "planarconfig": "contig",
        "compression": COMPRESSION.ADOBE_DEFLATE,
        "predictor": 2 if picture.integers else 3,
        "rowsperstrip": max(1, 2**18 // picture.width),
    }
    extras = (1 if picture.premultiplied else 2,) if picture.has_alpha else ()
    return Page(photometric, options, picture.samples[:, :, :0], extras, False, False)


def _packed(pages: Sequence[Picture], layouts: Sequence[Page], order: str, big: bool, level: int) -> bytes:
    """A TIFF file of the samples alone."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out, bigtiff=big, byteorder=order) as writer:  # type: ignore[arg-type]
        for picture, page in zip(pages, layouts, strict=True):
            photometric = page.photometric
            if page.narrow:
                photometric = PHOTOMETRIC.RGB if picture.model == "RGB" else PHOTOMETRIC.MINISBLACK
            samples = np.concatenate([_as_picture(picture.samples, photometric), page.rest], 2)
            options = dict(page.options)
            if page.lossy:
                options["compressionargs"] = {"level": QUALITIES[level], **options.get("compressionargs", {})}
            if options["planarconfig"] == "separate":
                samples = np.moveaxis(samples, -1, 0)
            elif samples.shape[2] == 1:
                samples = samples[:, :, 0]
                del options["planarconfig"]
            writer.write(
                np.ascontiguousarray(samples),
                photometric=photometric,
                extrasamples=page.extras,
                metadata=None,
                software=False,
                **options,
            )
    return out.getvalue()


def _kept(page: Directory, wanted: Wanted) -> list[Tag]:
    """What of a page's tags goes along, besides its structure."""
    values = {tag.number: tag.value for tag in page}
    names = LOOKS | set(exif.AUTHOR) if wanted.metadata == "safe" else LOOKS
    packet = xmp.kept(values.get(XMP, b""), wanted.metadata)
    blocks = Metadata(
        xmp=xmp.with_prohibition(packet) if wanted.no_mining else packet,
        iptc=iptc.kept(values.get(IPTC, b""), wanted.metadata),
    )
    kept = []
    for tag in page:
        if tag.number in STRUCTURE or tag.number in (XMP, IPTC):
            continue
        if tag.number in names or (wanted.metadata == KEEP_ALL and tag.number not in COPIES):
            kept.append(_without_jpegs(tag))
    return [*kept, *_blocks(blocks)]


def _without_jpegs(tag: Tag) -> Tag:
    """The tag, or where there is a preview in it, as what camera makers add may have one, another one to be added."""
    inside = tag.inside and tuple(map(_without_jpegs, tag.inside))
    without = replace(tag, value=exif.without_jpegs(tag.value), inside=inside)
    return tag if without == tag else _added(without)


def _blocks(about: Metadata) -> list[Tag]:
    found = {XMP: (1, about.xmp), IPTC: (7, about.iptc), PROFILE: (7, about.profile)}
    return [Tag(number, kind, len(value), value) for number, (kind, value) in found.items() if value]


def _simple(block: bytes) -> list[Tag]:
    """An EXIF block's own tags; what lies in its sub-directories stays behind."""
    entries = exif.read(block)[1]
    return [Tag(one.tag, one.type, one.count, one.value) for one in entries if one.tag in exif.LOOKS + exif.AUTHOR]
