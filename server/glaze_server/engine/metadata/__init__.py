"""What a file tells beside its pixels, and what of it goes along.

`safe`, the default, keeps who made the picture and what it is called; position, camera, serial numbers, thumbnails and
edit history stay behind. No mode keeps a copy of the picture from before the cloak.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from glaze_server.engine import cicp
from glaze_server.engine.metadata import exif, iptc, xmp

KEEP_ALL, SAFE, NONE = "keep-all", "safe", "none"
MODES = (KEEP_ALL, SAFE, NONE)


@dataclass(frozen=True)
class Metadata:
    """profile: ICC bytes. exif: a block in TIFF's structure. xmp: a packet. iptc: IIM records. b"" where there is none.

    texts: PNG's keywords → text (latin-1). resolution: px per inch, across and down, or None. numbers: the colours'
    primaries and transfer where the file states them so (`cicp`) and has no profile, or None.
    """

    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    numbers: tuple[int, int] | None = None

    def stated(self, gray: bool) -> bytes:
        """The profile, or one that says what the numbers do."""
        return self.profile or (cicp.profile(*self.numbers, gray) if self.numbers else b"")

    def with_profile(self, gray: bool) -> Metadata:
        """With a profile instead of numbers, for formats that have none."""
        return replace(self, profile=self.stated(gray), numbers=None)

    def kept(self, mode: str, no_mining: bool) -> Metadata:
        """What of it goes along. mode: one of MODES. no_mining: whether data mining is declared prohibited."""
        packet = xmp.kept(self.xmp, mode)
        return replace(
            self,
            exif=exif.kept(self.exif, mode),
            xmp=xmp.with_prohibition(packet) if no_mining else packet,
            iptc=iptc.kept(self.iptc, mode),
            texts={name: text for name, text in self.texts.items() if keeps_text(name, mode)},
        )

    @property
    def without_iptc(self) -> Metadata:
        """With what IPTC's records say in XMP instead, for formats that have no place for such records."""
        return replace(self, xmp=xmp.with_iptc(self.xmp, iptc.texts(self.iptc)), iptc=b"")

    @property
    def upright(self) -> Metadata:
        """Of the picture after it has been turned as EXIF says."""
        return replace(self, exif=exif.upright(self.exif))

    @property
    def described(self) -> bytes:
        """The EXIF block with PNG's texts among it, for formats that have no such texts."""
        return exif.with_texts(self.exif, self.texts)


TEXTS = ("Title", "Author", "Description", "Copyright")
"""PNG's keywords for who made it and what it is (PNG, section 11.3.3)."""


def keeps_text(keyword: str, mode: str) -> bool:
    return mode == KEEP_ALL or (mode == SAFE and keyword in TEXTS)
