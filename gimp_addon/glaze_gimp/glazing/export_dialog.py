"""*Export Glazed Copy…*: choose a file, watch, read what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glaze_plugin.errors import GlazeError
from glaze_plugin.figures import reviewed

from . import export, metadata
from .cloak import Cloak
from .export import Options, Snapshot
from .host import Gimp, Gio
from .layers import Refusal
from .screen import Gtk
from .texts import said, tr
from .window import GO, RUNNING, SAVED, Window

PATTERNS = tuple(f"*{suffix}" for suffix in export.EXPORTERS)


class ExportDialog(Window):
    def __init__(self, image: Any, config: Any) -> None:
        """The settings are those of the last time; the file is a new one."""
        self._image = image
        self._indexed = image.get_base_type() == Gimp.ImageBaseType.INDEXED
        file = config.get_property("file")
        self._suggested = export.suggested(image, Path(file.get_path()) if file and file.get_path() else None)
        self._snapshot: Snapshot | None = None
        self._options = Options.of(config)
        self._report: dict[str, Any] | None = None
        super().__init__("plug-in-glaze-export", tr("Export Glazed Copy"), config)
        self._file_changed()

    def run(self) -> dict[str, Any] | None:  # type: ignore[override]
        """What was measured on the copy that was written, None where none was."""
        try:
            super().run()
        finally:
            self._drop()
        return self._report

    def _build_first(self) -> None:
        self.file = Gtk.Entry(text=str(self._suggested), activates_default=True, width_chars=48)
        self.file.connect("changed", lambda _: self._file_changed())
        browse = Gtk.Button.new_with_mnemonic(tr("_Browse…"))
        browse.connect("clicked", self._browse)
        box = Gtk.Box(spacing=6)
        box.pack_start(self.file, True, True, 0)
        box.pack_start(browse, False, False, 0)
        label = self.row(tr("_File"), box)
        label.set_mnemonic_widget(self.file)

    def _build_settings(self) -> None:
        self.jpeg = Gtk.SpinButton.new_with_range(0, 100, 1)
        self.jpeg.set_value(self.config.get_property("jpeg-quality"))
        self.row(tr("_JPEG quality"), self.jpeg)
        self.metadata = Gtk.ComboBoxText()
        for value, text in metadata.CHOICES:
            self.metadata.append(value, tr(text))
        self.metadata.set_active_id(self.config.get_property("metadata"))
        self.row(tr("_Metadata"), self.metadata)
        self.convert = Gtk.CheckButton.new_with_mnemonic(tr("C_onvert the copy to RGB; a palette cannot hold a cloak"))
        self.convert.set_active(self.config.get_property("convert-indexed"))
        self.convert.connect("toggled", lambda _: self.show_state())
        if self._indexed:
            self.row("", self.convert)

    def _answers(self) -> tuple[tuple[str, int], ...]:
        return (("_Export", GO),)

    def _file_changed(self) -> None:
        """Only JPEG has a quality."""
        self.jpeg.set_sensitive(export.EXPORTERS.get(self._path.suffix.lower()) == export.JPEG)

    @property
    def _path(self) -> Path:
        """A name alone is one in the suggested folder; ~ is the home folder, but the start of a name may be one too."""
        text = self.file.get_text()
        return Path(text).expanduser() if text.startswith("~/") else self._suggested.parent / text

    def show_state(self) -> None:
        super().show_state()
        self.buttons[GO].set_sensitive(not self._indexed or self.convert.get_active())

    # ---- the job -------------------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            if not self._image.is_valid():
                raise GlazeError("closed", "The picture was closed.")
            target = export.target(self._image, self._path)
            replace = export.there(target)
            if replace and not self._asked(target):
                return
            settings = self.settings()
            self._options = Options(self.metadata.get_active_id(), self.jpeg.get_value(), replace)
            self._remember(target)
            self._snapshot = Snapshot(self._image, target, self.convert.get_active())
        except Refusal as refusal:
            self.say(tr(f"refused {refusal.code}"))
        except GlazeError as error:
            self.say(said(error))
        else:
            self.cloak = Cloak(
                self.client, self._snapshot.capture, settings, f"{self._image.get_name()}: {target.name}"
            )
            self.become(RUNNING)

    def _remember(self, target: Path) -> None:
        """What the dialog shows the next time. That a file may be replaced is asked each time."""
        self.config.set_property("file", Gio.File.new_for_path(str(target)))
        self.config.set_property("metadata", self._options.metadata)
        self.config.set_property("jpeg-quality", self._options.quality)
        self.config.set_property("convert-indexed", self.convert.get_active())
        self.config.set_property("overwrite", False)

    def _advance(self) -> None:
        cloak = self.cloak
        assert cloak
        cloak.advance()
        if cloak.error:
            self.failed(cloak.error)
        elif cloak.finished:
            assert self._snapshot
            try:
                self._snapshot.save(self._options)
            except GlazeError as error:
                self.failed(error)
                return
            self._report = cloak.report
            words = [tr("Saved as “{path}”.", path=self._snapshot.target), *reviewed([("", cloak.report)], 100, tr)]
            self._drop()
            self.become(SAVED, "\n".join(words))
            self.dialog.present()

    def _drop(self) -> None:
        if self.cloak and not self.cloak.ended:
            self.cloak.cancel()
        self.cloak = None
        if self._snapshot:
            self._snapshot.close()
        self._snapshot = None

    # ---- questions -----------------------------------------------------------------------------

    def _asked(self, target: Path) -> bool:
        """Whether a file that is there may be replaced."""
        question = Gtk.MessageDialog(
            transient_for=self.dialog,
            modal=True,
            message_type=Gtk.MessageType.WARNING,
            text=tr("“{name}” is there already. Replace it?", name=target.name),
        )
        question.set_title(tr("Replace?"))
        question.add_button(tr("_Cancel"), Gtk.ResponseType.CANCEL)
        question.add_button(tr("_Replace"), Gtk.ResponseType.OK)
        question.set_default_response(Gtk.ResponseType.CANCEL)
        answer = question.run()
        question.destroy()
        return bool(answer == Gtk.ResponseType.OK)

    def _browse(self, _: Any) -> None:
        chooser = Gtk.FileChooserNative.new(
            tr("Export Glazed Copy"), self.dialog, Gtk.FileChooserAction.SAVE, tr("_Choose"), tr("_Cancel")
        )
        names = Gtk.FileFilter()
        names.set_name("PNG, JPEG, WebP, TIFF")
        for pattern in PATTERNS:
            names.add_pattern(pattern)
            names.add_pattern(pattern.upper())
        chooser.add_filter(names)
        if self._path.parent.is_dir():
            chooser.set_current_folder(str(self._path.parent))
        chooser.set_current_name(self._path.name)
        if chooser.run() == Gtk.ResponseType.ACCEPT and chooser.get_filename():
            self.file.set_text(chooser.get_filename())
