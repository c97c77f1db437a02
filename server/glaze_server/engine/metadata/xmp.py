"""XMP packets (ISO 16684-1): the properties that go along, and the artist's wish not to be mined."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
XMP_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
TDM = "http://www.w3.org/ns/tdmrep/"
META = "adobe:ns:meta/"
EXTENSION = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"
PREFIXES = {"rdf": RDF, "dc": DC, "photoshop": PHOTOSHOP, "xmpRights": XMP_RIGHTS, "plus": PLUS, "tdm": TDM, "x": META}

KEPT = {
    *(f"{{{DC}}}{name}" for name in ("creator", "rights", "title", "description", "subject")),
    *(f"{{{PHOTOSHOP}}}{name}" for name in ("AuthorsPosition", "Credit", "Headline")),
    *(f"{{{XMP_RIGHTS}}}{name}" for name in ("Marked", "Owner", "UsageTerms", "WebStatement")),
    *(f"{{{PLUS}}}{name}" for name in ("DataMining", "CopyrightOwner", "ImageCreator")),
    *(f"{{{TDM}}}{name}" for name in ("reservation", "policy")),
}
COPIES = (
    "{http://ns.adobe.com/xap/1.0/}Thumbnails",
    "{http://ns.adobe.com/xap/1.0/}PageInfo",
    "{http://ns.adobe.com/xap/1.0/g/img/}",
    "{http://ns.google.com/photos/1.0/image/}",
    "{http://ns.google.com/photos/1.0/depthmap/}",
    EXTENSION,
)
"""How the names begin of what holds the picture itself or its depth, and the name of what is written anew."""
PACKED = ("/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD", "SUkqA", "TU0AK")
"""How JPEG, PNG, WebP, GIF and TIFF files begin in base64."""
PROHIBITED = {
    f"{{{PLUS}}}DataMining": "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED",
    f"{{{TDM}}}reservation": "1",
}
"""Data Mining of the PLUS vocabulary, as IPTC's Photo Metadata Standard 2023.1 has it; TDM Reservation Protocol."""
RIGHTS = {f"{{{DC}}}creator", f"{{{DC}}}rights", *PROHIBITED}
"""What must not get lost."""
FROM_IPTC = {
    5: (f"{{{DC}}}title", "Alt"),
    25: (f"{{{DC}}}subject", "Bag"),
    80: (f"{{{DC}}}creator", "Seq"),
    85: (f"{{{PHOTOSHOP}}}AuthorsPosition", ""),
    105: (f"{{{PHOTOSHOP}}}Headline", ""),
    110: (f"{{{PHOTOSHOP}}}Credit", ""),
    116: (f"{{{DC}}}rights", "Alt"),
    120: (f"{{{DC}}}description", "Alt"),
}
"""Data set of IPTC's record 2 → the property that says the same, and its container.

Source: IPTC Photo Metadata Standard 2023.1.
"""
LARGEST = 2**22
"""Bytes; a larger packet is no description of a picture."""
DEEPEST = 64
"""Elements inside each other; a deeper packet is none either."""

for prefix, namespace in PREFIXES.items():
    ElementTree.register_namespace(prefix, namespace)


def kept(packet: bytes, mode: str) -> bytes:
    """The packet without what stays behind; b"" where nothing is left or it cannot be read."""
    found = _properties(packet) if packet and mode != "none" else []
    return _packet([one for one in found if (mode != "safe" or one.tag in KEPT) and not _is_copy(one)])


def with_prohibition(packet: bytes) -> bytes:
    """The packet with data mining declared prohibited."""
    others = [one for one in _properties(packet) if one.tag not in PROHIBITED]
    return _packet([*others, *(_simple(tag, value) for tag, value in PROHIBITED.items())])


def with_iptc(packet: bytes, texts: Mapping[int, Sequence[str]]) -> bytes:
    """The packet with what IPTC's records say, where it does not say it itself. texts: data set → texts."""
    own = _properties(packet)
    there = {one.tag for one in own}
    more = [
        _filled(tag, container, texts[number])
        for number, (tag, container) in FROM_IPTC.items()
        if texts.get(number) and tag not in there
    ]
    return _packet([*own, *more]) if more else packet


def _filled(tag: str, container: str, values: Sequence[str]) -> Element:
    """A property with its values, of which an alternative by language has one."""
    readable = ["".join(letter for letter in value if letter.isprintable() or letter in "\t\n") for value in values]
    if not container:
        return _simple(tag, readable[0])
    one = Element(tag)
    inner = ElementTree.SubElement(one, f"{{{RDF}}}{container}")
    for value in readable[:1] if container == "Alt" else readable:
        item = ElementTree.SubElement(inner, f"{{{RDF}}}li")
        item.text = value
        if container == "Alt":
            item.set("{http://www.w3.org/XML/1998/namespace}lang", "x-default")
    return one


def split(packet: bytes, most: int) -> tuple[bytes, bytes]:
    """The packet in so many bytes, and the extension that holds what is left out for that; b"" for none.

    In the packet stays what says who made the picture, or if that is too long, creator, rights and the wish not to be
    mined. If these are, it is longer than `most`. Source: Adobe's XMP specification, part 3, section 1.1.3.
    """
    if len(packet) <= most:
        return packet, b""
    main, extension, properties = packet, b"", _properties(packet)
    for names in (KEPT, RIGHTS):
        if len(main) <= most:
            break
        extension = _serialised([one for one in properties if one.tag not in names])
        stay = [one for one in properties if one.tag in names]
        main = _packet([*stay, _simple(EXTENSION, guid(extension))] if extension else stay)
    return main, extension


def joined(packet: bytes, extension: bytes) -> bytes:
    """One packet of both; the packet alone where that would be too large."""
    more = _properties(extension)
    both = _packet([*_properties(packet), *more]) if more else packet
    return both if len(both) <= LARGEST else packet


def guid(extension: bytes) -> str:
    """By which a packet names its extension."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def _simple(tag: str, value: str) -> Element:
    one = Element(tag)
    one.text = value
    return one


def _is_copy(one: Element) -> bool:
    """Whether a property holds the picture, somewhere within it."""
    return any(
        name.startswith(COPIES) or value.lstrip().startswith(PACKED)
        for inner in one.iter()
        for name, value in ((inner.tag, inner.text or ""), *inner.items())
    )


def _properties(packet: bytes) -> list[Element]:
    """Every property as an element of its own. None of a packet that could be an attack or cannot be read."""
    text = packet.strip(b"\0 \r\n\t")
    letters = text.replace(b"\0", b"")
    if not text or len(text) > LARGEST or b"<!DOCTYPE" in letters or b"<!ENTITY" in letters:
        return []
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):
        return []
    found: list[Element] = []
    for top in () if _is_deep(root) else [root] if root.tag == f"{{{RDF}}}RDF" else root.findall(f"{{{RDF}}}RDF"):
        for description in top.findall(f"{{{RDF}}}Description"):
            attributes = description.attrib.items()
            found += [_simple(name, value) for name, value in attributes if _is_property(name)]
            found += description
    return found


def _is_property(name: str) -> bool:
    return name.startswith("{") and not name.startswith(f"{{{RDF}}}")


def _is_deep(root: Element) -> bool:
    level = [root]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in one]
    return bool(level)


def _packet(properties: list[Element]) -> bytes:
    body = _serialised(properties)
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
    return begin + body + b'\n<?xpacket end="w"?>' if body else b""


def _serialised(properties: list[Element]) -> bytes:
    """Their XML; what is simple goes into attributes, which are shorter."""
    if not properties:
        return b""
    meta = Element(f"{{{META}}}xmpmeta")
    rdf = ElementTree.SubElement(meta, f"{{{RDF}}}RDF")
    description = ElementTree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    for one in properties:
        if _is_property(one.tag) and one.text and not len(one) and not one.attrib and not description.get(one.tag):
            description.set(one.tag, one.text)
        else:
            one.tail = None
            description.append(one)
    body: bytes = ElementTree.tostring(meta, encoding="utf-8")
    return body.removeprefix(b"<?xml version='1.0' encoding='utf-8'?>\n")
