"""What of a picture's EXIF, XMP and IPTC goes into a glazed copy. Works on GIMP's own serialisation; no GIMP in it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

AUTHOR, MOST, ALL, NONE = "author", "most", "all", "none"
CHOICES = (
    (AUTHOR, "Author and copyright alone"),
    (MOST, "Everything but places and serial numbers"),
    (ALL, "Everything"),
    (NONE, "Nothing"),
)
"""The first is the default. Previews of the picture before it was cloaked are dropped in any case."""

ORIENTATION = "Exif.Image.Orientation"
UPRIGHT = "1"
"""The copy is written as it is seen."""

ABOUT_THE_AUTHOR = re.compile(
    r"""Exif\.Image\.(Artist|Copyright|ImageDescription|XPAuthor|XPTitle|[XY]Resolution|ResolutionUnit)
    |Xmp\.dc\.(creator|rights|title|description)
    |Xmp\.(xmpRights|plus)\..*                        # plus: licences, and the wish not to be trained on
    |Xmp\.photoshop\.(AuthorsPosition|Credit|Headline)
    |Xmp\.iptcExt\.DigitalSourceType
    |Iptc\.Envelope\.CharacterSet
    |Iptc\.Application2\.(Byline|BylineTitle|Copyright|Credit|Caption|Headline|ObjectName)""",
    re.VERBOSE,
)
ABOUT_THE_PICTURE_BEFORE = re.compile(
    r"""Exif\.(?!(Image|Photo|GPSInfo|Iop)\.).*             # thumbnails, and what camera makers note
    |Exif\.Photo\.MakerNote
    |Xmp\.photoshop\.(History|DocumentAncestors|TextLayers).*
    |.*(Thumbnail|Preview|JPEGInterchange).*""",
    re.VERBOSE | re.IGNORECASE,
)
ABOUT_PLACES_AND_DEVICES = re.compile(
    r"""Exif\.GPSInfo\..*
    |.*\.GPS.*
    |.*Serial.*
    |.*(OwnerName|UniqueID|HostComputer).*
    |Iptc\.Application2\.(City|SubLocation|ProvinceState|Country.*|Location.*)
    |Xmp\.photoshop\.(City|State|Country)
    |Xmp\.iptc\.(Location|CountryCode|CreatorContactInfo).*
    |Xmp\.(iptcExt|exif|exifEX)\.(.*Location.*|.*City.*)
    |Xmp\.xmpMM\..*                                        # file names and ids of earlier versions
    |Xmp\.(geo|mwg-rs|MP|GPano)\..*""",
    re.VERBOSE | re.IGNORECASE,
)


def kept(tag: str, choice: str) -> bool:
    """Whether the tag of that name goes into the copy. choice: one of CHOICES."""
    if choice == NONE or tag == ORIENTATION or ABOUT_THE_PICTURE_BEFORE.fullmatch(tag):
        return False
    if choice == AUTHOR:
        return ABOUT_THE_AUTHOR.fullmatch(tag) is not None
    return choice == ALL or ABOUT_PLACES_AND_DEVICES.fullmatch(tag) is None


NOT_XML = re.compile("&#x(?:[1-8bcef]|1[0-9a-f]);")
"""Control characters as GIMP writes them, though XML has none."""


def chosen(serialised: str, choice: str) -> str:
    """The serialised metadata of the copy."""
    root = ElementTree.fromstring(NOT_XML.sub("", serialised))
    for element in list(root):
        if element.tag == "tag" and not kept(element.get("name", ""), choice):
            root.remove(element)
    if choice != NONE:
        ElementTree.SubElement(root, "tag", name=ORIENTATION).text = UPRIGHT
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
