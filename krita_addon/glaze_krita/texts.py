"""Every text that the add-on shows, in the artist's language where there is a translation."""

import os

from glaze_plugin.texts import Texts

from .qt import QtCore

GERMAN = {
    "Glaze selection": "Auswahl überziehen",
    "Export glazed copy…": "Überzogene Kopie exportieren …",
    "A glazed copy can be a PNG, JPEG, WebP, TIFF or KRA file.": (
        "Eine überzogene Kopie kann eine PNG-, JPEG-, WebP-, TIFF- oder KRA-Datei sein."
    ),
    "state saved": "gespeichert",
    "Cancel": "Abbrechen",
    "Try again": "Noch einmal versuchen",
    "Restart the engine": "Engine neu starten",
    "Quality": "Qualität",
    "Strength": "Stärke",
    "Opacity": "Deckkraft",
    "Before (hold)": "Vorher (halten)",
    "Show before": "Vorher zeigen",
    "Difference ×8": "Unterschied ×8",
    "Keep": "Behalten",
    "Discard": "Verwerfen",
    "Insert": "Einfügen",
    "History": "Verlauf",
    "Kept.": "Behalten.",
    "The engine sleeps; the first picture wakes it.": "Die Engine schläft; das erste Bild weckt sie.",
    "Connected": "Verbunden",
    "state running": "läuft",
    "state finished": "fertig, nicht eingefügt",
    "state inserting": "wird eingefügt",
    "state review": "zur Ansicht",
    "state kept": "behalten",
    "state discarded": "verworfen",
    "state failed": "fehlgeschlagen",
    "“{name}” was finished while the picture was closed.": "„{name}“ wurde fertig, während das Bild geschlossen war.",
    "“{name}” is being cloaked already.": "„{name}“ wird bereits überzogen.",
    "The picture was closed; its cloak waits until it is opened.": (
        "Das Bild wurde geschlossen; der Überzug wartet, bis es wieder geöffnet wird."
    ),
    "The cloaked layer was taken out.": "Die überzogene Ebene wurde entfernt.",
    "The cloaked layer is back.": "Die überzogene Ebene ist wieder da.",
    "The layer has another size now, so its cloak does not fit any more.": (
        "Die Ebene hat jetzt eine andere Größe, der Überzug passt nicht mehr."
    ),
    "The layer has been painted on since; the cloak is of what it was before.": (
        "Auf der Ebene wurde inzwischen gemalt; der Überzug gilt dem früheren Stand."
    ),
    "The layer is not wholly opaque, so it is hidden while its cloak is shown.": (
        "Die Ebene ist nicht ganz deckend und deshalb verborgen, solange ihr Überzug zu sehen ist."
    ),
    "refused no_document": "Es ist kein Bild geöffnet.",
    "refused mask": "Eine Maske hat keine eigenen Bildpunkte; wähle die Ebene, zu der sie gehört.",
    "refused pass_through": "Eine Durchreichgruppe hat keine eigenen Bildpunkte; wähle eine Ebene darin.",
    "refused colours": "Diesen Farbraum kann Krita nicht umrechnen.",
    "refused empty": "Auf dieser Ebene ist nichts gemalt.",
    "refused no_selection": "Es ist nichts ausgewählt, oder die Auswahl liegt neben der Ebene.",
    "note animated": (
        "Nur das jetzige Bild der Animation wird überzogen; „Alle Schlüsselbilder überziehen“ im Menü nimmt alle."
    ),
    "Glaze all key frames": "Alle Schlüsselbilder überziehen",
    "This layer has no key frames.": "Diese Ebene hat keine Schlüsselbilder.",
    "Frame {number} of {count}: {stage}": "Bild {number} von {count}: {stage}",
    "note projection": "Es wird überzogen, was von der Ebene zu sehen ist.",
    "Get models…": "Modelle holen …",
    "Download": "Herunterladen",
    "Close": "Schließen",
}

JAPANESE = {
    "Glaze selection": "選択範囲を Glaze 加工",
    "Export glazed copy…": "Glaze 加工したコピーを書き出し…",
    "A glazed copy can be a PNG, JPEG, WebP, TIFF or KRA file.": (
        "Glaze 加工したコピーは PNG、JPEG、WebP、TIFF、KRA で保存できます。"
    ),
    "state saved": "書き出し済み",
    "Cancel": "キャンセル",
    "Try again": "再試行",
    "Restart the engine": "エンジンを再起動",
    "Quality": "品質",
    "Strength": "強さ",
    "Opacity": "不透明度",
    "Before (hold)": "加工前（長押し）",
    "Show before": "加工前を表示",
    "Difference ×8": "差分 ×8",
    "Keep": "残す",
    "Discard": "破棄",
    "Insert": "挿入",
    "History": "履歴",
    "Kept.": "残しました。",
    "The engine sleeps; the first picture wakes it.": "エンジンは休止中です。最初の画像で起動します。",
    "Connected": "接続済み",
    "state running": "実行中",
    "state finished": "完了・未挿入",
    "state inserting": "挿入中",
    "state review": "確認中",
    "state kept": "保存済み",
    "state discarded": "破棄済み",
    "state failed": "失敗",
    "“{name}” was finished while the picture was closed.": "「{name}」は画像を閉じている間に完了しました。",
    "“{name}” is being cloaked already.": "「{name}」はすでに加工中です。",
    "The picture was closed; its cloak waits until it is opened.": (
        "画像が閉じられました。次に開いたときに加工を挿入できます。"
    ),
    "The cloaked layer was taken out.": "加工レイヤーが取り除かれました。",
    "The cloaked layer is back.": "加工レイヤーが戻りました。",
    "The layer has another size now, so its cloak does not fit any more.": (
        "レイヤーの大きさが変わったため、加工が合わなくなりました。"
    ),
    "The layer has been painted on since; the cloak is of what it was before.": (
        "その後レイヤーに描き込みがありました。加工は以前の状態のものです。"
    ),
    "The layer is not wholly opaque, so it is hidden while its cloak is shown.": (
        "完全に不透明ではないレイヤーなので、加工を表示している間は元のレイヤーを隠します。"
    ),
    "refused no_document": "開いている画像がありません。",
    "refused mask": "マスクには画素がありません。マスクの付いたレイヤーを選んでください。",
    "refused pass_through": "パススルーグループには画素がありません。中のレイヤーを選んでください。",
    "refused colours": "この色空間は Krita で変換できません。",
    "refused empty": "このレイヤーには何も描かれていません。",
    "refused no_selection": "選択範囲がないか、レイヤーの外にあります。",
    "note animated": (
        "アニメーションの現在のフレームだけを加工します。"
        "すべて加工するにはメニューの「全キーフレームを Glaze 加工」を選んでください。"
    ),
    "Glaze all key frames": "全キーフレームを Glaze 加工",
    "This layer has no key frames.": "このレイヤーにキーフレームはありません。",
    "Frame {number} of {count}: {stage}": "フレーム {number}/{count}：{stage}",
    "note projection": "レイヤーの見えている状態を加工します。",
    "Get models…": "モデルを入手…",
    "Download": "ダウンロード",
    "Close": "閉じる",
}

ENGLISH = {
    "refused no_document": "No picture is open.",
    "refused mask": "A mask has no pixels of its own; select the layer that it belongs to.",
    "refused pass_through": "A pass-through group has no pixels of its own; select a layer in it.",
    "refused colours": "Krita cannot convert this colour space.",
    "refused empty": "Nothing is painted on this layer.",
    "refused no_selection": "Nothing is selected, or the selection lies beside the layer.",
    "note animated": (
        "Only the current frame of the animation is cloaked; “Glaze all key frames” in the menu takes all of them."
    ),
    "note projection": "What is visible of the layer is cloaked.",
    "state finished": "finished, not put in",
    "state review": "for review",
}


def language():
    """Two letters: Krita's own language setting if there is one, else the system's."""
    return (os.environ.get("LANGUAGE") or QtCore.QLocale().name())[:2]


TEXTS = Texts({"de": GERMAN, "ja": JAPANESE, "en": ENGLISH}, language)
tr, said, about_model = TEXTS.tr, TEXTS.said, TEXTS.about_model


def refused(refusal):
    """Why something cannot be cloaked."""
    return tr(f"refused {refusal.code}")
