"""The docker: what the engine does, how to cloak, and the review of what came out."""

import krita
from krita import Krita

from glaze_plugin.figures import reviewed

from .encoders import AUTOMATIC, EncoderChooser, ModelsDialog
from .qt import Qt, QtCore, QtGui, QtWidgets
from .styles import StyleChooser
from .texts import TEXTS, said, tr

QUALITIES = (("preview", "Quick and weak"), ("standard", "Standard"), ("thorough", "Thorough and slow"))
PREVIEW_PX = 176
OPACITY_MS = 150
"""ms that the opacity slider must rest before the canvas is drawn again, which takes a while on large pictures."""
SETTINGS = "glaze"
BAR_PX = 6
BUTTON_PX = 40
"""px to which a button may shrink, so that a narrow docker cuts none off."""
HISTORY_PX = 64
HEIGHT_PX = 240
"""px that a review needs; Krita would give the docker less."""


def row(*parts):
    """Widgets side by side."""
    layout = QtWidgets.QHBoxLayout()
    for part in parts:
        layout.addWidget(part)
    return layout


class GlazeDocker(krita.DockWidget):
    """One per window. The session and the cloaks belong to the extension and are shared."""

    shared = None
    """(Session, Cloaks), set by the extension before the first docker is made."""

    def __init__(self):
        super().__init__()
        self.setWindowTitle("Glaze")
        self.session, self.cloaks = self.shared
        self._cloak = self._models = None
        self._build()
        self._load()
        self.session.changed.connect(self._show_state)
        self.cloaks.changed.connect(self._show_cloak)
        self.cloaks.told.connect(self._tell)
        self._opacity_timer = QtCore.QTimer(self)
        self._opacity_timer.setSingleShot(True)
        self._opacity_timer.setInterval(OPACITY_MS)
        self._opacity_timer.timeout.connect(self._set_opacity)
        self._tell("")
        self._show_cloak()

    # ---- building ------------------------------------------------------------------------------

    def _build(self):
        """From top to bottom: what goes on, what can be done now, what there is to say, what there was."""
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("glaze_progress")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_PX)
        self.sentence = self._label("glaze_sentence")
        self.preview = self._label("glaze_preview")
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setup = self._build_setup()
        self.review = self._build_review()
        self.ends = self._build_ends()
        self.figures = self._label("glaze_figures")
        self.history = QtWidgets.QListWidget()
        self.history.setObjectName("glaze_history")
        self.history.setToolTip(tr("History"))
        self.history.setMaximumHeight(HISTORY_PX)

        page = QtWidgets.QWidget(self)
        column = QtWidgets.QVBoxLayout(page)
        column.addLayout(self._build_state())
        shown = (self.setup, self.sentence, self.preview, self.review, self.ends, self.figures, self.history)
        for part in (self.bar, *shown):
            column.addWidget(part)
        column.addStretch(1)
        scroll = QtWidgets.QScrollArea(self)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidgetResizable(True)
        scroll.setMinimumHeight(HEIGHT_PX)
        scroll.setWidget(page)
        self.setWidget(scroll)

    def _build_state(self):
        self.state = self._label("glaze_state")
        self.retry = self._button("glaze_retry", "Try again", self._retry)
        self.cancel = self._button("glaze_cancel", "Cancel", lambda: self._cloak.cancel())
        self.cancel.setSizePolicy(QtWidgets.QSizePolicy.Policy.Fixed, QtWidgets.QSizePolicy.Policy.Fixed)
        both = row(self.state, self.cancel)
        both.setStretch(0, 1)
        layout = QtWidgets.QVBoxLayout()
        layout.addLayout(both)
        layout.addWidget(self.retry, 0, Qt.AlignmentFlag.AlignLeft)
        return layout

    def _build_setup(self):
        self.quality = QtWidgets.QComboBox()
        self.quality.setObjectName("glaze_quality")
        for value, text in QUALITIES:
            self.quality.addItem(tr(text), value)
        self.strength = self._slider("glaze_strength", 10, 100)
        box = QtWidgets.QWidget()
        form = QtWidgets.QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QtWidgets.QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(tr("Quality"), self.quality)
        form.addRow(tr("Strength"), self.strength)
        form.addRow(tr("Target style"), StyleChooser(self.session, self._tell))
        self.encoder = EncoderChooser(Krita.instance().readSetting(SETTINGS, "encoder", AUTOMATIC))
        get = self._button("glaze_models", "Get models…", self._get_models)
        get.setMinimumWidth(get.sizeHint().width())
        works = QtWidgets.QLabel(tr("Made against"))
        works.setToolTip(tr("hint against"))
        form.addRow(works, row(self.encoder, get))
        layer = self._button("glaze_layer_button", "Glaze layer", lambda: self.glaze(False))
        selection = self._button("glaze_selection_button", "Glaze selection", lambda: self.glaze(True))
        form.addRow(row(layer, selection))
        return box

    def _build_review(self):
        self.hold = self._button("glaze_hold", "Before (hold)")
        self.hold.pressed.connect(lambda: self._cloak and self._cloak.show_before(True))
        self.hold.released.connect(lambda: self._cloak and self._cloak.show_before(self.before.isChecked()))
        self.difference = self._button("glaze_difference", "Difference ×8", self._show_difference)
        self.before = QtWidgets.QCheckBox(tr("Show before"))
        self.before.setObjectName("glaze_before")
        self.before.toggled.connect(lambda on: self._cloak and self._cloak.show_before(on))
        self.opacity = self._slider("glaze_opacity", 0, 100)
        self.opacity.valueChanged.connect(self._opacity_moved)
        self.strengths = QtWidgets.QWidget()
        self.strengths.setLayout(row(QtWidgets.QLabel(tr("Opacity")), self.opacity))
        self.strengths.layout().setContentsMargins(0, 0, 0, 0)
        box = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row(self.hold, self.difference))
        column.addWidget(self.before, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.strengths)
        return box

    def _build_ends(self):
        """How a review ends."""
        self.insert = self._button("glaze_insert", "Insert", lambda: self._cloak.insert())
        self.keep = self._button("glaze_keep", "Keep", lambda: self._cloak.keep())
        self.discard = self._button("glaze_discard", "Discard", lambda: self._cloak.discard())
        box = QtWidgets.QWidget()
        both = row(self.insert, self.keep, self.discard)
        both.setContentsMargins(0, 0, 0, 0)
        box.setLayout(both)
        return box

    def _label(self, name):
        label = QtWidgets.QLabel()
        label.setObjectName(name)
        label.setWordWrap(True)
        return label

    def _button(self, name, text, clicked=lambda: None):
        button = QtWidgets.QPushButton(tr(text))
        button.setObjectName(name)
        button.setMinimumWidth(BUTTON_PX)
        button.clicked.connect(lambda *_: clicked())
        return button

    def _slider(self, name, low, high):
        slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        slider.setObjectName(name)
        slider.setRange(low, high)
        slider.setValue(high)
        return slider

    # ---- settings ------------------------------------------------------------------------------

    def _load(self):
        read = Krita.instance().readSetting
        self.quality.setCurrentIndex(max(0, self.quality.findData(read(SETTINGS, "quality", "standard"))))
        strength = read(SETTINGS, "strength", "100")
        self.strength.setValue(int(strength) if strength.isdecimal() else 100)

    def settings(self):
        """What the artist has chosen, as a job's settings; remembered for the next time."""
        quality, strength = self.quality.currentData(), self.strength.value()
        Krita.instance().writeSetting(SETTINGS, "quality", quality)
        Krita.instance().writeSetting(SETTINGS, "strength", str(strength))
        Krita.instance().writeSetting(SETTINGS, "encoder", self.encoder.currentData())
        return {"quality": quality, "strength": strength / 100, "want_review": True, **self.encoder.settings()}

    # ---- what the artist does ------------------------------------------------------------------

    def glaze(self, selected):
        self.setVisible(True)
        self.cloaks.glaze(selected, self.settings())

    def canvasChanged(self, canvas):
        """Called by Krita when another document is shown."""
        if hasattr(self, "session"):
            self._show_cloak()

    def _retry(self):
        if self.session.unusable:
            self.session.restart()
        else:
            self.session.wake()

    def _get_models(self):
        self._models = self._models or ModelsDialog(self.session, self)
        self._models.open_for()

    def _opacity_moved(self):
        self._show_figures()
        self._opacity_timer.start()

    def _set_opacity(self):
        if self._cloak:
            self._cloak.set_opacity(self.opacity.value())

    def _show_difference(self):
        if self._cloak:
            self._cloak.get_difference(self._show_picture)

    def _show_picture(self, data):
        """The amplified difference in a window of its own: on the canvas it would be a step to undo."""
        window = QtWidgets.QDialog(self)
        window.setObjectName("glaze_difference_window")
        window.setWindowTitle(tr("Difference ×8"))
        label = QtWidgets.QLabel()
        label.setPixmap(QtGui.QPixmap.fromImage(QtGui.QImage.fromData(data)))
        scroll = QtWidgets.QScrollArea()
        scroll.setWidget(label)
        QtWidgets.QVBoxLayout(window).addWidget(scroll)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.resize(720, 560)
        window.show()

    # ---- showing -------------------------------------------------------------------------------

    def _tell(self, sentence):
        self.sentence.setText(sentence)
        self.sentence.setVisible(bool(sentence))

    def _show_state(self):
        """What goes on, in words: with the job that runs, or with the engine."""
        state, client = self.session.state, self.session.client
        if self.session.status:
            self.encoder.offer(self.session.status.encoders)
        running = bool(self._cloak) and self._cloak.state in ("running", "inserting")
        if state == "asleep":
            text = tr("The engine sleeps; the first picture wakes it.")
        elif state == "searching":
            text = tr(client.words or "Looking for the engine …")
        elif state == "trouble":
            text = tr(client.words) if client.words else said(client.error)
        else:
            status = self.session.status
            text = tr("Connected") if status is None else TEXTS.engine_words(status)
        if running and state == "ready":
            text = self._stage_words()
        self.state.setText(text)
        self.retry.setText(tr("Restart the engine") if self.session.unusable else tr("Try again"))
        self.retry.setVisible(self.session.unusable or (client.error is not None and state == "trouble"))
        self.cancel.setVisible(running)

    def _stage_words(self):
        if self._cloak.state == "inserting":
            return tr("stage inserting")
        stage = TEXTS.stage_words(self._cloak.progress)
        number, count = self._cloak.frame
        if count == 1:
            return stage
        return tr("Frame {number} of {count}: {stage}", number=number, count=count, stage=stage)

    def _show_cloak(self):
        document = Krita.instance().activeDocument()
        cloak = self.cloaks.current(document)
        if cloak is not self._cloak:
            self._cloak = cloak
            self.before.setChecked(False)
            self._opacity_timer.stop()
            self.preview.clear()
        self._show_opacity()
        state = cloak.state if cloak else ""
        self.bar.setVisible(state in ("running", "inserting"))
        self.preview.setVisible(state == "running" and cloak.preview is not None)
        self.setup.setVisible(not cloak)
        self.review.setVisible(state == "review")
        self.figures.setVisible(state == "review")
        self.difference.setVisible(bool(cloak) and cloak.shows_difference)
        self.ends.setVisible(state in ("finished", "review"))
        self.insert.setVisible(state == "finished")
        self.keep.setVisible(state == "review")
        self._show_state()
        if state == "running":
            self._show_progress(cloak)
        elif state == "review":
            self._show_figures()
        self._show_history(document)

    def _show_progress(self, cloak):
        progress = cloak.progress
        self.bar.setUpdatesEnabled(False)  # it would be drawn at once, and with it the whole window
        self.bar.setRange(0, progress.steps if progress else 0)
        self.bar.setValue(progress.step if progress else 0)
        self.bar.setUpdatesEnabled(True)
        if cloak.preview:
            self._show_preview(cloak.preview)

    def _show_preview(self, preview):
        layout = preview.raster
        image = QtGui.QImage(
            bytes(preview.payload), layout.width, layout.height, layout.row_bytes, QtGui.QImage.Format.Format_RGB888
        )
        small = QtCore.QSize(PREVIEW_PX, PREVIEW_PX)
        smooth = Qt.TransformationMode.SmoothTransformation
        self.preview.setPixmap(QtGui.QPixmap.fromImage(image).scaled(small, Qt.AspectRatioMode.KeepAspectRatio, smooth))

    def _show_figures(self):
        """What was measured at the opacity that is nearest to the slider's."""
        if not self._cloak or self._cloak.state != "review":
            return
        words = reviewed([(self._cloak.name, self._cloak.report)], self.opacity.value(), tr)
        self.figures.setText("\n".join(words))

    def _show_opacity(self):
        """The slider where it belongs, unless it is being moved."""
        self.strengths.setVisible(self._cloak is None or self._cloak.opaque)
        if not self.opacity.isSliderDown() and not self._opacity_timer.isActive():
            self.opacity.blockSignals(True)
            self.opacity.setValue(self._cloak.opacity if self._cloak else 100)
            self.opacity.blockSignals(False)

    def _show_history(self, document):
        entries = [f"{cloak.name}: {tr('state ' + cloak.state)}" for cloak in self.cloaks.of(document)]
        if entries != [self.history.item(row).text() for row in range(self.history.count())]:
            self.history.clear()
            self.history.addItems(entries)
        self.history.setVisible(bool(entries))
