"""What GIMP is told of: the two procedures, their arguments, and how each run mode is served."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from glaze_plugin.errors import Cancelled, GlazeError

from . import cloak, export, layers, metadata, pixels
from .host import Gimp, GLib, GObject
from .layers import Capture, Place, Refusal
from .texts import said, tr

LAYER = "plug-in-glaze-layer"
EXPORT = "plug-in-glaze-export"
READ_WRITE = GObject.ParamFlags.READWRITE


class GlazePlugIn(Gimp.PlugIn):
    def do_set_i18n(self, name: str) -> bool:
        return False  # texts.py translates

    def do_query_procedures(self) -> list[str]:
        return [LAYER, EXPORT]

    def do_create_procedure(self, name: str) -> Any:
        return _layer_procedure(self) if name == LAYER else _export_procedure(self)


def _layer_procedure(plug_in: Any) -> Any:
    procedure = Gimp.ImageProcedure.new(plug_in, LAYER, Gimp.PDBProcType.PLUGIN, _run, _glaze)
    procedure.set_image_types("*")  # an indexed image is told why not
    procedure.set_menu_label(tr("_Glaze layer…"))
    procedure.add_menu_path("<Image>/Filters/Glaze")
    procedure.set_documentation(
        tr("Put a style cloak over layers"),
        "Puts a cloaked copy above each of the given layers, in one undo step. Of a selection only its inside is "
        "changed. The layers themselves are never changed, but a layer that is not opaque is hidden.",
        LAYER,
    )
    _describe(procedure, Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
    _add_settings(procedure)
    procedure.add_layer_return_value("layer", "Layer", "The first cloaked layer", True, READ_WRITE)
    procedure.add_string_return_value("report", "Report", "What was measured, JSON, a list", "", READ_WRITE)
    return procedure


def _export_procedure(plug_in: Any) -> Any:
    procedure = Gimp.ImageProcedure.new(plug_in, EXPORT, Gimp.PDBProcType.PLUGIN, _run, _export)
    procedure.set_image_types("*")
    procedure.set_menu_label(tr("Export Gla_zed Copy…"))
    procedure.add_menu_path("<Image>/File/[Export]")
    procedure.set_documentation(
        tr("Export the picture with a style cloak"),
        "Cloaks what is visible in a copy of the image and writes it as PNG, JPEG, WebP or TIFF. The image itself is "
        "never changed. No file is replaced unless that is asked for.",
        EXPORT,
    )
    masks = Gimp.ProcedureSensitivityMask
    _describe(procedure, masks.DRAWABLE | masks.DRAWABLES | masks.NO_DRAWABLES)
    _add_file(procedure)
    _add_settings(procedure)
    kept = Gimp.Choice.new()
    for number, (value, text) in enumerate(metadata.CHOICES):
        kept.add(value, number, tr(text), "")
    procedure.add_choice_argument(
        "metadata", tr("_Metadata"), "What is kept of EXIF, XMP and IPTC", kept, metadata.CHOICES[0][0], READ_WRITE
    )
    procedure.add_double_argument(
        "jpeg-quality", tr("_JPEG quality"), "0..100", 0, 100, export.JPEG_QUALITY, READ_WRITE
    )
    procedure.add_boolean_argument(
        "convert-indexed", tr("_Convert to RGB"), "Convert the copy of an indexed image", False, READ_WRITE
    )
    procedure.add_boolean_argument("overwrite", tr("_Replace the file"), "Only for scripts", False, READ_WRITE)
    procedure.add_string_return_value("report", "Report", "What was measured, JSON", "", READ_WRITE)
    return procedure


def _describe(procedure: Any, sensitivity: Any) -> None:
    procedure.set_sensitivity_mask(sensitivity)
    procedure.set_attribution("Glaze plugin", "Glaze plugin", "2026")


def _add_settings(procedure: Any) -> None:
    qualities = Gimp.Choice.new()
    for number, (value, text) in enumerate(cloak.QUALITIES):
        qualities.add(value, number, tr(text), "")
    procedure.add_choice_argument(
        "quality", tr("_Quality"), "How long the cloak is worked on", qualities, "standard", READ_WRITE
    )
    procedure.add_double_argument(
        "strength", tr("_Strength"), "Size of the cloak; 1 uses the whole visual budget", 0.0, 1.0, 1.0, READ_WRITE
    )
    procedure.add_string_argument(
        "encoder",
        tr("Made agai_nst"),
        "An encoder's name, or auto to leave it to the engine",
        cloak.AUTOMATIC,
        READ_WRITE,
    )


def _add_file(procedure: Any) -> None:
    words = ("file", tr("_File"), "Where to write; its ending says what")
    try:  # since GIMP 3.0.6
        procedure.add_file_argument(*words, Gimp.FileChooserAction.SAVE, True, None, READ_WRITE)
    except (AttributeError, TypeError):
        procedure.add_file_argument(*words, READ_WRITE)


# ---- running ---------------------------------------------------------------------------------------


def _run(procedure: Any, mode: Any, image: Any, drawables: list[Any], config: Any, way: Any) -> Any:
    """A run of either procedure: whatever goes wrong is a sentence for the artist."""
    pixels.start()
    status = Gimp.PDBStatusType
    try:
        found = way(mode, image, drawables, config)
    except Cancelled:
        return procedure.new_return_values(status.CANCEL, GLib.Error())
    except Refusal as refusal:
        sentence = tr(f"refused {refusal.code}")
    except GlazeError as error:
        sentence = said(error)
    except Exception as error:
        traceback.print_exc()
        sentence = tr("The add-on has a fault of its own: {error}", error=error)
    else:
        if found is None:
            return procedure.new_return_values(status.CANCEL, GLib.Error())
        values = procedure.new_return_values(status.SUCCESS, GLib.Error())
        for place, value in enumerate(found, 1):
            values.remove(place)
            values.insert(place, value)
        return values
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), sentence, 0)
    return procedure.new_return_values(status.EXECUTION_ERROR, error)


def _glaze(mode: Any, image: Any, drawables: list[Any], config: Any) -> tuple[Any, ...] | None:
    chosen, _ = layers.chosen(image, drawables)
    if mode == Gimp.RunMode.INTERACTIVE and export.can_ask():  # the libraries for windows are loaded for them alone
        from .layer_dialog import LayerDialog

        made, reports = LayerDialog(image, drawables, config).run()
        return (_layer_value(made[0]), _text_value(json.dumps(reports))) if made else None
    captures: list[Capture] = []
    try:
        place = Place(image)
        captures.extend(Capture(place, layer) for layer in chosen)
        done = cloak.wait(captures, cloak.settings_of(config), _label(image), _progress(), lambda: place.closed)
        made = layers.put_in(captures)
        return _layer_value(made[0]), _text_value(json.dumps([one.report for one in done]))
    finally:
        for capture in captures:
            capture.close()


def _export(mode: Any, image: Any, drawables: list[Any], config: Any) -> tuple[Any, ...] | None:
    """*Repeat last* asks again: the file that was written last would be replaced else."""
    if mode != Gimp.RunMode.NONINTERACTIVE and export.can_ask():
        from .export_dialog import ExportDialog

        report = ExportDialog(image, config).run()
        return (_text_value(json.dumps(report)),) if report is not None else None
    file = config.get_property("file")
    target = export.target(image, Path(file.get_path()) if file and file.get_path() else None)
    if export.there(target) and not (mode == Gimp.RunMode.NONINTERACTIVE and config.get_property("overwrite")):
        raise export.exists(target)
    snapshot = export.Snapshot(image, target, config.get_property("convert-indexed"))
    try:
        (done,) = cloak.wait([snapshot.capture], cloak.settings_of(config), _label(image), _progress())
        snapshot.save(export.Options.of(config))
    finally:
        snapshot.close()
    return (_text_value(json.dumps(done.report)),)


def _label(image: Any) -> str:
    return str(image.get_name())


def _progress() -> Any:
    Gimp.progress_init(tr("Glazing"))

    def show(words: str, fraction: float) -> None:
        Gimp.progress_set_text(words)
        Gimp.progress_update(fraction)

    return show


def _layer_value(layer: Any) -> Any:
    return GObject.Value(Gimp.Layer, layer)


def _text_value(text: str) -> Any:
    return GObject.Value(GObject.TYPE_STRING, text)
