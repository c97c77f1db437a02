"""The GIMP add-on's choice of metadata, which needs no GIMP."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from gimp_addon.glaze_gimp.glazing.metadata import ALL, AUTHOR, CHOICES, MOST, NONE, ORIENTATION, chosen, kept

TAGS = {
    "Exif.Image.Artist": {AUTHOR, MOST, ALL},
    "Exif.Image.Copyright": {AUTHOR, MOST, ALL},
    "Xmp.dc.creator": {AUTHOR, MOST, ALL},
    "Xmp.plus.DataMining": {AUTHOR, MOST, ALL},
    "Iptc.Application2.Byline": {AUTHOR, MOST, ALL},
    "Exif.Image.XResolution": {AUTHOR, MOST, ALL},
    "Exif.Photo.DateTimeOriginal": {MOST, ALL},
    "Exif.Image.Model": {MOST, ALL},
    "Xmp.xmp.Rating": {MOST, ALL},
    "Exif.GPSInfo.GPSLatitude": {ALL},
    "Exif.Image.GPSTag": {ALL},
    "Xmp.exif.GPSLongitude": {ALL},
    "Exif.Photo.BodySerialNumber": {ALL},
    "Exif.Photo.LensSerialNumber": {ALL},
    "Exif.Photo.CameraOwnerName": {ALL},
    "Xmp.aux.SerialNumber": {ALL},
    "Iptc.Application2.City": {ALL},
    "Xmp.photoshop.City": {ALL},
    "Xmp.iptcExt.LocationCreated[1]/iptcExt:City": {ALL},
    "Xmp.xmpMM.History[1]/stEvt:action": {ALL},
    "Exif.Image.Orientation": set(),
    "Exif.Thumbnail.JPEGInterchangeFormat": set(),
    "Exif.Photo.MakerNote": set(),
    "Exif.Canon.SerialNumber": set(),
    "Exif.NikonPreview.JPEGInterchangeFormat": set(),
    "Xmp.xmp.Thumbnails[1]/xmpGImg:image": set(),
    "Xmp.photoshop.DocumentAncestors": set(),
}


@pytest.mark.parametrize("tag", TAGS)
def test_which_metadata_is_kept(tag: str) -> None:
    assert {choice for choice, _ in CHOICES if kept(tag, choice)} == TAGS[tag]


def test_control_characters_that_xml_does_not_have_are_left_out() -> None:
    """GIMP writes them as a camera or another program left them in a text."""
    old = "<metadata><tag name='Exif.Image.Artist'>m&#x1;e&#x1f; &amp;#x1;&#x85;</tag></metadata>"
    root = ElementTree.fromstring(chosen(old, ALL))
    assert root[0].text == "me &#x1;\x85"


def test_the_copy_is_upright() -> None:
    old = "<metadata><namespace prefix='dc' url='u'/><tag name='Exif.Image.Orientation'>6</tag></metadata>"
    for choice in (AUTHOR, MOST, ALL):
        root = ElementTree.fromstring(chosen(old, choice))
        assert [(one.tag, one.get("name"), one.text) for one in root] == [
            ("namespace", None, None),
            ("tag", ORIENTATION, "1"),
        ]
    assert [one.tag for one in ElementTree.fromstring(chosen(old, NONE))] == ["namespace"]
