"""Which encoder a cloak is made against: choosing one of those at hand, and a window that downloads more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glaze_plugin.client import Client
from glaze_plugin.models import Model, Offer, size_words

from .choosers import Chooser
from .cloak import AUTOMATIC
from .screen import Gtk
from .texts import TEXTS, tr

GET = 1
"""Response: download the chosen one."""
STOP = 2
SPACE = 12
SIZE_PX = (760, 460)


class EncoderChooser(Chooser):
    """The first choice leaves it to the engine."""

    def __init__(self, chosen: str) -> None:
        super().__init__()
        self._fill([] if chosen == AUTOMATIC else [chosen], chosen)

    def offer(self, names: list[str]) -> None:
        """names: the encoders at hand. One that is no longer among them is not chosen any more."""
        self._fill(names, self.chosen)

    def _fill(self, names: list[str], chosen: str) -> None:
        self.fill([(AUTOMATIC, tr("automatic")), *((name, name) for name in names)], chosen)


class ModelsWindow:
    """What can be downloaded, and the download that runs; closing it ends that. Somebody takes the client's steps."""

    def __init__(
        self, client: Client, parent: Any, step: Callable[[], None], at_hand: Callable[[list[str]], None]
    ) -> None:
        """step: takes one now. at_hand: told the names of the encoders that are there, when they have changed."""
        self._client, self._step, self._at_hand = client, step, at_hand
        self._open = True
        self._shown: list[Model] | None = None
        self.offer = Offer(client, self._show)
        self.dialog = Gtk.Dialog(title=tr("Models"), transient_for=parent, modal=True, destroy_with_parent=True)
        self.dialog.set_default_size(*SIZE_PX)
        page = self.dialog.get_content_area()
        page.set_border_width(SPACE)
        page.set_spacing(SPACE)
        self._build(page)
        self.buttons = {
            response: self.dialog.add_button(text, response)
            for text, response in (
                (tr("_Download"), GET),
                (tr("_Cancel"), STOP),
                (tr("_Close"), Gtk.ResponseType.CLOSE),
            )
        }
        self.dialog.connect("response", self._responded)
        self.dialog.show_all()
        self.look()
        self._show()

    @property
    def open(self) -> bool:
        return self._open

    def look(self) -> None:
        """Ask what there is, once there is a connection; call it now and then."""
        if self._open:
            self.offer.ask()

    def _build(self, page: Any) -> None:
        hint = tr("These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.")
        page.pack_start(Gtk.Label(label=hint, wrap=True, xalign=0.0), False, False, 0)
        self.rows = Gtk.ListStore(str, str, str, str, str)
        self.list = Gtk.TreeView(model=self.rows, enable_search=False)
        for number, title in enumerate((tr("Model"), tr("Size"), tr("Licence"), tr("State"), tr("Stands for"))):
            self.list.append_column(Gtk.TreeViewColumn(title, Gtk.CellRendererText(), text=number))
        self.list.get_selection().connect("changed", lambda _: self._show_buttons())
        scroll = Gtk.ScrolledWindow()
        scroll.add(self.list)
        page.pack_start(scroll, True, True, 0)
        self.bar = Gtk.ProgressBar()
        page.pack_start(self.bar, False, False, 0)
        self.sentence = Gtk.Label(wrap=True, xalign=0.0, selectable=True)
        page.pack_start(self.sentence, False, False, 0)

    # ---- what the artist does ------------------------------------------------------------------

    def _responded(self, _: Any, response: int) -> None:
        if response == GET:
            model = self._chosen()
            if model:
                self.offer.pull(model.name)
        elif response == STOP:
            self.offer.cancel()
        else:
            self.offer.cancel()
            self._open = False
            self.dialog.destroy()
        self._step()

    # ---- showing -------------------------------------------------------------------------------

    def _chosen(self) -> Model | None:
        rows, row = self.list.get_selection().get_selected()
        name = rows[row][0] if row else ""
        return next((one for one in self.offer.models or [] if one.name == name), None)

    def _show(self) -> None:
        if not self._open:
            return
        if self.offer.models != self._shown:
            self._shown = self.offer.models
            self._show_list()
            self._at_hand([one.name for one in self._shown or [] if one.here])
        share, running = self.offer.share, self.offer.job is not None
        self.bar.set_visible(running)
        self.bar.set_fraction(share)
        end = f" – {share:.0%}" if running else tr(" – finished") if self.offer.came else ""
        self.dialog.set_title(tr("Models") + end)
        self.sentence.set_text(self.offer.words(TEXTS))
        self._show_buttons()

    def _show_buttons(self) -> None:
        chosen, running = self._chosen(), self.offer.job is not None
        self.buttons[GET].set_sensitive(bool(chosen and chosen.to_be_had and not running))
        self.buttons[STOP].set_visible(running)
        self.buttons[Gtk.ResponseType.CLOSE].set_visible(not running)

    def _show_list(self) -> None:
        chosen = self._chosen()
        names = [one.name for one in self.offer.models or []]
        self.rows.clear()
        for one in self.offer.models or []:
            self.rows.append([one.name, size_words(one.size, one.exact), one.licence, tr(one.state), one.about])
        if names:
            self.list.set_cursor(names.index(chosen.name) if chosen and chosen.name in names else 0)
            self.list.grab_focus()
