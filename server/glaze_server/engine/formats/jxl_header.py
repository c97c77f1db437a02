"""The header of a JPEG XL codestream, read before memory is taken for its pixels.

Source: ISO/IEC 18181-1:2024, annex D: size, image metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"\xff\x0a"
RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
ALPHA = 0
"""The type of an extra channel that is transparency."""
SPOT, CFA = 2, 5
"""Types with more fields."""
GRAY, D65 = 1, 1
SHORT = 2
"""The kind of number that takes four bits and is 2 more than they say."""

Choice = tuple[int, int]
"""(bits, offset): a number of so many bits, with the offset added."""
SIDE: tuple[Choice, ...] = ((9, 1), (13, 1), (18, 1), (30, 1))
PREVIEW: tuple[Choice, ...] = ((6, 1), (8, 65), (10, 321), (12, 1345))
EIGHTHS: tuple[Choice, ...] = ((0, 16), (0, 32), (5, 1), (9, 33))
ENUM: tuple[Choice, ...] = ((0, 0), (0, 1), (4, 2), (6, 18))


@dataclass(frozen=True)
class Header:
    """width, height: px as stored, before the picture is turned. bits, exponent: of a sample; exponent 0 for integers.

    lossy: whether the colours are in XYB, which no lossless file has. profiled: whether an ICC profile follows.
    extra: the types of the channels beyond colour. associated: whether the colours are multiplied by alpha.
    colours: the bit at which the description of the colours begins.
    """

    width: int
    height: int
    animated: bool = False
    bits: int = 8
    exponent: int = 0
    extra: tuple[int, ...] = ()
    associated: bool = False
    lossy: bool = True
    profiled: bool = False
    colours: int = 0


class Bits:
    """Bits, the lowest of each byte first. Past the end all are 0."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self.at = 0

    def take(self, count: int) -> int:
        found = (self._value >> self.at) & ((1 << count) - 1)
        self.at += count
        return found

    def flag(self) -> bool:
        return bool(self.take(1))

    def choose(self, choices: tuple[Choice, ...]) -> int:
        """One of four kinds of number, which two bits name."""
        bits, offset = choices[self.take(2)]
        return self.take(bits) + offset


LONGEST = 4096
"""Bytes that a header is looked for in; names of channels make it that long."""


def read(codestream: bytes) -> Header:
    """The header of what begins with MAGIC. Raises ValueError for another beginning."""
    if not codestream.startswith(MAGIC):
        raise ValueError("no JPEG XL codestream")
    bits = Bits(codestream[len(MAGIC) : LONGEST])
    width, height = _size(bits)
    if bits.flag():  # all as usual
        return Header(width, height)
    animated = bits.flag() and _more(bits)
    depth, exponent = _depth(bits)
    bits.flag()  # whether 16-bit buffers do
    extra, associated = [], False
    for _ in range(bits.choose(((0, 0), (0, 1), (4, 2), (12, 1)))):
        kind, multiplied = _channel(bits)
        extra.append(kind)
        associated |= multiplied
    lossy, colours = bits.flag(), bits.at
    profiled = not bits.flag() and bits.flag()
    return Header(width, height, animated, depth, exponent, tuple(extra), associated, lossy, profiled, colours)


def with_transfer(codestream: bytes, transfer: int) -> bytes:
    """The codestream of a gray picture, whose curve is given by a number from 2 to 17, with another such number.

    Raises ValueError where its colours are stated in another way.
    """
    start = read(codestream).colours
    bits = Bits(codestream[len(MAGIC) : LONGEST])
    bits.take(start)
    usual, profiled, model, white, gamma = bits.flag(), bits.flag(), bits.choose(ENUM), bits.choose(ENUM), bits.flag()
    if (usual, profiled, model, white, gamma, bits.take(2)) != (False, False, GRAY, D65, False, SHORT):
        raise ValueError("not a gray picture by number")
    place = bits.at
    value = int.from_bytes(codestream[len(MAGIC) :], "little")
    value ^= (bits.take(4) ^ (transfer - 2)) << place
    return MAGIC + value.to_bytes(len(codestream) - len(MAGIC), "little")


def _size(bits: Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.choose(SIDE)

    height = side()
    ratio = RATIOS[bits.take(3)]
    return (height * ratio[0] // ratio[1] if ratio else side()), height


def _more(bits: Bits) -> bool:
    """Orientation, size to be shown at, preview, animation; whether there is the last."""
    bits.take(3)
    if bits.flag():
        _size(bits)
    if bits.flag():
        sides = EIGHTHS if bits.flag() else PREVIEW
        bits.choose(sides)
        if bits.take(3) == 0:
            bits.choose(sides)
    return bits.flag() and _timing(bits)


def _timing(bits: Bits) -> bool:
    bits.choose(((0, 100), (0, 1000), (10, 1), (30, 1)))
    bits.choose(((0, 1), (0, 1001), (8, 1), (10, 1)))
    bits.choose(((0, 0), (3, 0), (16, 0), (32, 0)))
    bits.flag()
    return True


def _depth(bits: Bits) -> tuple[int, int]:
    """Bits of a sample and of its exponent."""
    if bits.flag():
        return bits.choose(((0, 32), (0, 16), (0, 24), (6, 1))), bits.take(4) + 1
    return bits.choose(((0, 8), (0, 10), (0, 12), (6, 1))), 0


def _channel(bits: Bits) -> tuple[int, bool]:
    """The type of an extra channel, and whether it is multiplied into the colours."""
    if bits.flag():
        return ALPHA, False
    kind = bits.choose(ENUM)
    _depth(bits)
    bits.choose(((0, 0), (0, 3), (0, 4), (3, 1)))
    bits.take(8 * bits.choose(((0, 0), (4, 0), (5, 16), (10, 48))))
    associated = kind == ALPHA and bits.flag()
    if kind == SPOT:
        bits.take(4 * 16)
    if kind == CFA:
        bits.choose(((0, 1), (2, 0), (4, 3), (8, 19)))
    return kind, associated
