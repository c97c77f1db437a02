"""A glazed copy of the whole picture in a file of its own, by GIMP's own exporters. No dialog in it.

What is cloaked is a copy of the image, which shares its memory: whatever becomes of the image, it can be written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glaze_plugin.errors import BadInput, GlazeError

from . import metadata
from .host import Gegl, Gimp, Gio
from .layers import Capture, Place, Refusal
from .texts import tr

JPEG_QUALITY = 95.0
JPEG = "file-jpeg-export"
EXPORTERS = {
    ".png": "file-png-export",
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": "file-webp-export",
    ".tif": "file-tiff-export",
    ".tiff": "file-tiff-export",
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "file-png-export": {"compression": 6, "phys": True, "bkgd": False, "time": False, "save-transparent": True},
    JPEG: {"sub-sampling": "sub-sampling-1x1", "progressive": False, "optimize": True},
    "file-webp-export": {"lossless": True, "quality": 50.0},
    "file-tiff-export": {"compression": "adobe_deflate", "save-transparent-pixels": True},
}
"""Of GIMP's exporters; one that does not know a name goes without it. The quality of a lossless file is effort."""


@dataclass(frozen=True)
class Options:
    """metadata: one of metadata.CHOICES. quality: of JPEG, 0..100. replace: whether a file there is replaced."""

    metadata: str
    quality: float
    replace: bool

    @classmethod
    def of(cls, config: Any) -> Options:
        names = ("metadata", "jpeg-quality", "overwrite")
        return cls(*(config.get_property(name) for name in names))


def can_ask() -> bool:
    """Whether there is a screen for a dialog."""
    from .screen import Gtk

    return bool(Gtk.init_check([])[0])


def target(image: Any, path: Path | None) -> Path:
    """`path`, if a glazed copy can be written there. Raises BadInput."""
    if path is None:
        raise BadInput("no_file", tr("No file was named."))
    if path.suffix.lower() not in EXPORTERS:
        raise BadInput("format", tr("A glazed copy can be a PNG, JPEG, WebP or TIFF file."))
    if not path.parent.is_dir():
        raise BadInput("folder", tr("There is no folder “{path}”.", path=path.parent))
    for own in (image.get_file(), image.get_imported_file()):
        if own and own.get_path() and _same(Path(own.get_path()), path):
            raise BadInput("own_file", tr("This is the picture's own file; choose another name."))
    return path


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one == other


def there(path: Path) -> bool:
    """Whether there is something of that name, be it a broken link."""
    with suppress(OSError):
        path.lstat()
        return True
    return False


def exists(path: Path) -> BadInput:
    return BadInput("exists", tr("“{name}” is there already and was not replaced.", name=path.name))


def suggested(image: Any, last: Path | None) -> Path:
    """A file that is not there yet, beside the picture's own, or where the last one was written."""
    own = next((file for file in (image.get_file(), image.get_imported_file()) if file and file.get_path()), None)
    folder = Path(own.get_path()).parent if own else last.parent if last else Path.home()
    stem = f"{Path(own.get_path()).stem if own else tr('unnamed')}-glazed"
    suffix = last.suffix if last else ".png"
    path, number = folder / f"{stem}{suffix}", 2
    while there(path):
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    return path


class Snapshot:
    """A copy of an image with one layer, of what is visible, with all filters and masks. Drop it with `close`."""

    def __init__(self, image: Any, target: Path, convert: bool) -> None:
        """convert: an indexed image to RGB. Raises Refusal."""
        self.target = target
        self._exporter = EXPORTERS[target.suffix.lower()]
        if image.get_base_type() == Gimp.ImageBaseType.INDEXED and not convert:
            raise Refusal("indexed")
        if not any(layer.get_visible() for layer in image.get_layers()):
            raise Refusal("nothing_visible")
        self.image = image.duplicate()
        try:
            self._layer = self._merged()
            self.capture = Capture(Place(self.image), self._layer)
        except BaseException:
            self.image.delete()
            raise

    def _merged(self) -> Any:
        image = self.image
        image.undo_disable()
        Gimp.Selection.none(image)
        if image.get_floating_sel() is not None:
            Gimp.floating_sel_anchor(image.get_floating_sel())
        if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            image.convert_rgb()
        if self._exporter == JPEG:  # has no transparency; what is cloaked is what is written
            Gimp.context_push()
            Gimp.context_set_background(Gegl.Color.new("white"))
            merged = image.flatten()
            Gimp.context_pop()
            return merged
        merged = image.merge_visible_layers(Gimp.MergeType.CLIP_TO_IMAGE)
        for layer in image.get_layers():
            if layer.get_id() != merged.get_id():
                image.remove_layer(layer)
        merged.resize_to_image_size()
        return merged

    def save(self, options: Options) -> None:
        """Write the cloaked copy: whole, or no file at all. Raises GlazeError."""
        layer, self.capture.after = self.capture.after, None
        layer.set_name(self.target.stem)
        self.image.insert_layer(layer, None, 0)
        self.image.remove_layer(self._layer)
        if self.capture.opaque and layer.has_alpha():  # merging may have added it
            layer.flatten()
        self._choose_metadata(options.metadata)
        beside = self.target.with_name(f".glaze-{os.getpid()}.part{self.target.suffix}")
        try:
            self._write(beside, options)
            self._rename(beside, options.replace)
        except OSError as error:
            raise GlazeError(
                "unwritable", tr("“{path}” could not be written; nothing was exported.", path=self.target)
            ) from error
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def close(self) -> None:
        self.capture.close()
        if self.image.is_valid():
            self.image.delete()

    def _choose_metadata(self, choice: str) -> None:
        known = self.image.get_metadata() or Gimp.Metadata.new()
        self.image.set_metadata(Gimp.Metadata.deserialize(metadata.chosen(known.serialize(), choice)))

    def _write(self, path: Path, options: Options) -> None:
        """Raises OSError."""
        procedure = Gimp.get_pdb().lookup_procedure(self._exporter)
        if procedure is None:
            raise OSError(f"no {self._exporter}")
        some = options.metadata != metadata.NONE
        arguments = {
            "run-mode": Gimp.RunMode.NONINTERACTIVE,
            "image": self.image,
            "file": Gio.File.new_for_path(str(path)),
            "include-color-profile": True,
            "include-exif": some,
            "include-xmp": some,
            "include-iptc": some,
            "include-thumbnail": some,
            "include-comment": options.metadata == metadata.ALL,
            **ARGUMENTS[self._exporter],
        }
        config = procedure.create_config()
        if self._exporter == JPEG:
            whole = config.find_property("quality").maximum
            arguments["quality"] = options.quality / 100 * whole
        for name, value in arguments.items():
            if config.find_property(name):
                config.set_property(name, value)
        values = procedure.run(config)
        Gimp.progress_end()  # the exporter's, whose Cancel would stay as long as this plug-in runs
        if values.index(0) != Gimp.PDBStatusType.SUCCESS or not path.exists() or not path.stat().st_size:
            raise OSError(Gimp.get_pdb().get_last_error())

    def _rename(self, beside: Path, replace: bool) -> None:
        """Raises OSError, and BadInput for a file that has come meanwhile."""
        if replace:
            beside.replace(self.target)
            return
        try:
            os.link(beside, self.target)  # alone refuses to replace
        except FileExistsError:
            raise exists(self.target) from None
        except OSError:  # such as on a memory card
            if there(self.target):
                raise exists(self.target) from None
            beside.rename(self.target)
