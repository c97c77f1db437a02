"""Which encoder a cloak is made against: choosing one of those at hand, and downloading more."""

from glaze_plugin.models import Offer, size_words

from .choosers import Chooser
from .qt import QtWidgets
from .texts import TEXTS, tr

AUTOMATIC = "auto"
SIZE_PX = (760, 420)
STEPS = 1000


class EncoderChooser(Chooser):
    """The first choice leaves it to the engine."""

    def __init__(self, chosen):
        super().__init__("glaze_encoder")
        self._fill([] if chosen == AUTOMATIC else [chosen], chosen)

    def offer(self, names):
        """names: the encoders at hand. One that is no longer among them is not chosen any more."""
        self._fill(names, self.currentData())

    def _fill(self, names, chosen):
        self.fill([(tr("automatic"), AUTOMATIC), *((name, name) for name in names)], chosen)

    def settings(self):
        """The choice as a part of a job's settings."""
        return {} if self.currentData() == AUTOMATIC else {"encoders": [self.currentData()]}


class ModelsDialog(QtWidgets.QDialog):
    """What can be downloaded, and the download that runs; closing it ends that."""

    def __init__(self, session, parent):
        super().__init__(parent)
        self.setObjectName("glaze_models_window")
        self.setWindowTitle(tr("Models"))
        self.resize(*SIZE_PX)
        self._session = session
        self._shown = None
        self.offer = Offer(session.client, self._show)
        self._build()
        session.changed.connect(self._look)
        self.finished.connect(lambda *_: self._cancel())

    def _build(self):
        hint = QtWidgets.QLabel(
            tr("These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.")
        )
        hint.setWordWrap(True)
        self.list = QtWidgets.QTreeWidget()
        self.list.setObjectName("glaze_models_list")
        self.list.setRootIsDecorated(False)
        self.list.setHeaderLabels([tr("Model"), tr("Size"), tr("Licence"), tr("State"), tr("Stands for")])
        self.list.currentItemChanged.connect(lambda *_: self._show_buttons())
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("glaze_models_progress")
        self.bar.setTextVisible(False)
        self.sentence = QtWidgets.QLabel()
        self.sentence.setObjectName("glaze_models_sentence")
        self.sentence.setWordWrap(True)
        self.download = self._button("glaze_models_download", tr("Download"), self._pull)
        self.stop = self._button("glaze_models_cancel", tr("Cancel"), self._cancel)
        close = self._button("glaze_models_close", tr("Close"), self.close)
        column = QtWidgets.QVBoxLayout(self)
        for part in (hint, self.list, self.bar, self.sentence):
            column.addWidget(part)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.download, self.stop, close):
            buttons.addWidget(button)
        column.addLayout(buttons)

    def _button(self, name, words, clicked):
        button = QtWidgets.QPushButton(words)
        button.setObjectName(name)
        button.setAutoDefault(False)  # nothing is downloaded by a stray Return
        button.clicked.connect(lambda *_: clicked())
        return button

    # ---- what the artist does ------------------------------------------------------------------

    def open_for(self):
        """Show it and ask what there is, for which a daemon is started."""
        self.show()
        self.raise_()
        self._session.wake()
        self._look()

    def _pull(self):
        model = self._chosen()
        if model:
            self._session.do(lambda: self.offer.pull(model.name))

    def _cancel(self):
        if self.offer.job:
            self._session.do(self.offer.cancel)

    # ---- showing -------------------------------------------------------------------------------

    def _look(self):
        """The session's state has changed."""
        if self.isVisible():
            self.offer.ask()
            self._show()

    def _chosen(self):
        item = self.list.currentItem()
        name = item.text(0) if item else ""
        return next((one for one in self.offer.models or [] if one.name == name), None)

    def _show(self):
        if self.offer.models != self._shown:
            self._shown = self.offer.models
            self._show_list()
            self._session.ask_status()
        job = self.offer.job
        self.bar.setVisible(job is not None)
        self.bar.setRange(0, STEPS if self.offer.share else 0)
        self.bar.setValue(round(STEPS * self.offer.share))
        self.sentence.setText(self.offer.words(TEXTS))
        self._show_buttons()

    def _show_buttons(self):
        chosen = self._chosen()
        self.download.setEnabled(bool(chosen and chosen.to_be_had and not self.offer.job))
        self.stop.setVisible(self.offer.job is not None)

    def _show_list(self):
        chosen = self._chosen()
        self.list.clear()
        for one in self.offer.models or []:
            size = size_words(one.size, one.exact)
            item = QtWidgets.QTreeWidgetItem([one.name, size, one.licence, tr(one.state), one.about])
            self.list.addTopLevelItem(item)
            if chosen and one.name == chosen.name:
                self.list.setCurrentItem(item)
        for column in range(self.list.columnCount()):
            self.list.resizeColumnToContents(column)
