"""XMP packets (ISO 16684-1): the properties that go along, and the artist's wish not to be mined."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from xml.etree.ElementTree import Element

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
PLUS = "http://ns.useplus.org/ldf/xmp/1.0/"
TDM = "http://www.w3.org/ns/tdmrep/"
META = "adobe:ns:meta/"
PREFIXES = {"rdf": RDF, "dc": DC, "photoshop": PHOTOSHOP, "xmpRights": RIGHTS, "plus": PLUS, "tdm": TDM, "x": META}

KEPT = {
    *(f"{{{DC}}}{name}" for name in ("creator", "rights", "title", "description", "subject")),
    *(f"{{{PHOTOSHOP}}}{name}" for name in ("AuthorsPosition", "Credit", "Headline")),
    *(f"{{{RIGHTS}}}{name}" for name in ("Marked", "Owner", "UsageTerms", "WebStatement")),
    *(f"{{{PLUS}}}{name}" for name in ("DataMining", "CopyrightOwner", "ImageCreator")),
    *(f"{{{TDM}}}{name}" for name in ("reservation", "policy")),
}
COPIES = {"{http://ns.adobe.com/xap/1.0/}Thumbnails"}
"""Properties that hold the picture itself."""
PROHIBITED = {
    f"{{{PLUS}}}DataMining": "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED",
    f"{{{TDM}}}reservation": "1",
}
"""Data Mining of the PLUS vocabulary, as IPTC's Photo Metadata Standard 2023.1 has it; TDM Reservation Protocol."""
LARGEST = 2**22
"""Bytes; a larger packet is no description of a picture."""

for prefix, namespace in PREFIXES.items():
    ElementTree.register_namespace(prefix, namespace)


def kept(packet: bytes, mode: str) -> bytes:
    """The packet without what stays behind; b"" where nothing is left or it cannot be read."""
    found = _properties(packet) if packet and mode != "none" else []
    return _packet([one for one in found if (one.tag in KEPT if mode == "safe" else one.tag not in COPIES)])


def with_prohibition(packet: bytes) -> bytes:
    """The packet with data mining declared prohibited."""
    others = [one for one in _properties(packet) if one.tag not in PROHIBITED]
    wish = []
    for tag, value in PROHIBITED.items():
        one = Element(tag)
        one.text = value
        wish.append(one)
    return _packet([*others, *wish])


def _properties(packet: bytes) -> list[Element]:
    """Every property as an element of its own. None of a packet that could be an attack or cannot be read."""
    text = packet.strip(b"\0 \r\n\t")
    if not text or len(text) > LARGEST or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return []
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):
        return []
    found = []
    for description in root.iter(f"{{{RDF}}}Description"):
        if not _is_top(root, description):
            continue
        for name, value in description.attrib.items():
            if name.startswith("{") and not name.startswith(f"{{{RDF}}}"):
                one = Element(name)
                one.text = value
                found.append(one)
        found += [copy.deepcopy(one) for one in description]
    return found


def _is_top(root: Element, description: Element) -> bool:
    tops = root.iter(f"{{{RDF}}}RDF")
    return any(description is child for top in tops for child in top)


def _packet(properties: list[Element]) -> bytes:
    if not properties:
        return b""
    meta = Element(f"{{{META}}}xmpmeta")
    rdf = ElementTree.SubElement(meta, f"{{{RDF}}}RDF")
    description = ElementTree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    for one in properties:
        one.tail = None
        description.append(one)
    body: bytes = ElementTree.tostring(meta, encoding="utf-8")
    body = body.removeprefix(b"<?xml version='1.0' encoding='utf-8'?>\n")
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
    return begin + body + b'\n<?xpacket end="w"?>'
