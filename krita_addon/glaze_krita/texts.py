"""Every text that the add-on shows, in the artist's language where there is a translation."""

import os

from .qt import QtCore

GERMAN = {
    "Glaze layer": "Ebene überziehen",
    "Glaze selection": "Auswahl überziehen",
    "Export glazed copy…": "Überzogene Kopie exportieren …",
    "A glazed copy can be a PNG, JPEG, WebP, TIFF or KRA file.": (
        "Eine überzogene Kopie kann eine PNG-, JPEG-, WebP-, TIFF- oder KRA-Datei sein."
    ),
    "“{path}” could not be written; nothing was exported.": (
        "„{path}“ konnte nicht geschrieben werden; es wurde nichts exportiert."
    ),
    "Saved as “{path}”.": "Gespeichert als „{path}“.",
    "state saved": "gespeichert",
    "Cancel": "Abbrechen",
    "Try again": "Noch einmal versuchen",
    "Restart the engine": "Engine neu starten",
    "Quality": "Qualität",
    "Quick and weak": "Schnell und schwach",
    "Standard": "Standard",
    "Thorough and slow": "Gründlich und langsam",
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
    "Discarded.": "Verworfen.",
    "Cancelled.": "Abgebrochen.",
    "unnamed": "ohne Namen",
    "Glazed: {name}": "Glaze: {name}",
    "The engine sleeps; the first picture wakes it.": "Die Engine schläft; das erste Bild weckt sie.",
    "Looking for the engine …": "Suche die Engine …",
    "Connected": "Verbunden",
    "Ready on {device}": "Bereit auf {device}",
    "The engine is starting.": "Die Engine startet.",
    "The engine rests; the next picture wakes it.": "Die Engine ruht; das nächste Bild weckt sie.",
    "The engine does not start; `glaze doctor` says why.": "Die Engine startet nicht; `glaze doctor` sagt warum.",
    "{stage}, about {time} left": "{stage}, noch etwa {time}",
    "{minutes} min {seconds} s": "{minutes} min {seconds} s",
    "{seconds} s": "{seconds} s",
    "stage waiting": "wartet",
    "stage sending": "wird gesendet",
    "stage starting the engine": "Engine startet",
    "stage choosing a style": "sucht einen Stil",
    "stage painting the target": "malt das Ziel",
    "stage cloaking": "überzieht",
    "stage fitting to the eye": "passt ans Auge an",
    "stage measuring": "misst",
    "stage inserting": "wird eingefügt",
    "state running": "läuft",
    "state finished": "fertig, nicht eingefügt",
    "state inserting": "wird eingefügt",
    "state review": "zur Ansicht",
    "state kept": "behalten",
    "state discarded": "verworfen",
    "state failed": "fehlgeschlagen",
    "Shift {shift:.2f} at {percent} % opacity; noise as visible as all of it: {noise:.2f}.": (
        "Verschiebung {shift:.2f} bei {percent} % Deckkraft; ebenso sichtbares Rauschen: {noise:.2f}."
    ),
    "LPIPS {alex:.3f}, largest change {change:.0f} of 255.": "LPIPS {alex:.3f}, größte Änderung {change:.0f} von 255.",
    "Measured, not guaranteed: cloaks of this kind have been broken.": (
        "Gemessen, nicht garantiert: Überzüge dieser Art sind schon gebrochen worden."
    ),
    "“{name}” was finished while the picture was closed.": "„{name}“ wurde fertig, während das Bild geschlossen war.",
    "“{name}” is being cloaked already.": "„{name}“ wird bereits überzogen.",
    "The picture was closed, so its cloak was dropped.": "Das Bild wurde geschlossen, der Überzug verworfen.",
    "The layer was deleted, so its cloak was dropped.": "Die Ebene wurde gelöscht, der Überzug verworfen.",
    "The picture was closed; its cloak waits until it is opened.": (
        "Das Bild wurde geschlossen; der Überzug wartet, bis es wieder geöffnet wird."
    ),
    "The cloaked layer was taken out.": "Die überzogene Ebene wurde entfernt.",
    "The cloaked layer is back.": "Die überzogene Ebene ist wieder da.",
    "Starting the Glaze daemon": "Die Engine wird gestartet",
    "Waiting for the Glaze daemon": "Warte auf die Engine",
    "The Glaze daemon has stopped.": "Die Engine wurde beendet.",
    "The Glaze daemon has not answered for 5 seconds.": "Die Engine antwortet seit 5 Sekunden nicht.",
    "The Glaze daemon has not come up within 60 seconds.": "Die Engine ist nach 60 Sekunden nicht da.",
    "Try again.": "Versuche es noch einmal.",
    "`glaze doctor` looks for the reason.": "`glaze doctor` sucht den Grund.",
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
    "refused no_layer": "Es ist keine Ebene ausgewählt.",
    "refused mask": "Eine Maske hat keine eigenen Bildpunkte; wähle die Ebene, zu der sie gehört.",
    "refused pass_through": "Eine Durchreichgruppe hat keine eigenen Bildpunkte; wähle eine Ebene darin.",
    "refused colours": "Diesen Farbraum kann Krita nicht umrechnen.",
    "note mask": "Es wird die Ebene überzogen, zu der die Maske gehört.",
    "refused empty": "Auf dieser Ebene ist nichts gemalt.",
    "refused no_selection": "Es ist nichts ausgewählt, oder die Auswahl liegt neben der Ebene.",
    "refused too_small": "Das ist zu klein: mindestens 32 px je Seite sind nötig.",
    "refused too_large": "Das ist zu groß, um es zu überziehen.",
    "note hidden": "Die Ebene ist verborgen; sie wird trotzdem überzogen.",
    "note locked": "Die Ebene ist gesperrt; sie bleibt unberührt, der Überzug kommt darüber.",
    "note animated": (
        "Nur das jetzige Bild der Animation wird überzogen; „Alle Schlüsselbilder überziehen“ im Menü nimmt alle."
    ),
    "Glaze all key frames": "Alle Schlüsselbilder überziehen",
    "This layer has no key frames.": "Diese Ebene hat keine Schlüsselbilder.",
    "Frame {number} of {count}: {stage}": "Bild {number} von {count}: {stage}",
    "note projection": "Es wird überzogen, was von der Ebene zu sehen ist.",
    "Encoder": "Encoder",
    "automatic": "automatisch",
    "Get models…": "Modelle holen …",
    "Models": "Modelle",
    "These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.": (
        "Sie kommen vom Hugging Face Hub. Bevor du „Herunterladen“ drückst, wird nichts heruntergeladen."
    ),
    "Download": "Herunterladen",
    "Close": "Schließen",
    "Size": "Größe",
    "Licence": "Lizenz",
    "State": "Stand",
    "Stands for": "Steht für",
    "on this computer": "auf diesem Rechner",
    "on no hub": "auf keinem Hub",
    "needs an account": "braucht ein Konto",
    "“{name}” is here now and can be chosen as encoder.": "„{name}“ ist jetzt da und kann als Encoder gewählt werden.",
    "stage asking the hub": "fragt den Hub",
    "stage downloading": "lädt herunter",
    "stage checking what came": "prüft, was gekommen ist",
    "model offline": "Auf diesem Rechner sind Downloads abgeschaltet (HF_HUB_OFFLINE).",
    "model needs_token": (
        "Dieses Modell bekommt nur, wer seiner Lizenz zugestimmt hat: Stimme ihr auf seiner Seite bei "
        "huggingface.co zu und lege ein Token deines Kontos in die Datei .cache/huggingface/token in deinem "
        "persönlichen Ordner."
    ),
    "model not_found": "Der Hub hat dieses Modell nicht so, wie Glaze es kennt.",
    "model no_hub": "Was für den Hub antwortet, ist keiner.",
    "model hub_busy": (
        "Der Hub ist überlastet; versuche es später noch einmal, dann geht es weiter, wo es aufgehört hat."
    ),
    "model hub_error": (
        "Der Hub hat einen Fehler; versuche es später noch einmal, dann geht es weiter, wo es aufgehört hat."
    ),
    "model no_connection": (
        "Der Hub ist nicht zu erreichen; versuche es noch einmal, dann geht es weiter, wo es aufgehört hat."
    ),
    "model disk_full": (
        "Auf der Platte ist nicht genug Platz; schaffe welchen, dann geht es weiter, wo es aufgehört hat."
    ),
    "model checksum": "Was kam, ist nicht die veröffentlichte Datei und wurde verworfen; versuche es noch einmal.",
    "model busy": "Ein anderes Programm lädt dieses Modell bereits herunter.",
    "model downloading": "Ein anderer Download läuft; warte, bis er zu Ende ist.",
    "model download_stopped": (
        "Der Download brach unerwartet ab; versuche es noch einmal, dann geht es weiter, wo er aufgehört hat."
    ),
    "model unknown_job": (
        "Der Download wurde unterbrochen; versuche es noch einmal, dann geht es weiter, wo er aufgehört hat."
    ),
}

JAPANESE = {
    "Glaze layer": "レイヤーを Glaze 加工",
    "Glaze selection": "選択範囲を Glaze 加工",
    "Export glazed copy…": "Glaze 加工したコピーを書き出し…",
    "A glazed copy can be a PNG, JPEG, WebP, TIFF or KRA file.": (
        "Glaze 加工したコピーは PNG、JPEG、WebP、TIFF、KRA で保存できます。"
    ),
    "“{path}” could not be written; nothing was exported.": "「{path}」に書き込めず、何も書き出されませんでした。",
    "Saved as “{path}”.": "「{path}」に保存しました。",
    "state saved": "書き出し済み",
    "Cancel": "キャンセル",
    "Try again": "再試行",
    "Restart the engine": "エンジンを再起動",
    "Quality": "品質",
    "Quick and weak": "速い・弱い",
    "Standard": "標準",
    "Thorough and slow": "丁寧・遅い",
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
    "Discarded.": "破棄しました。",
    "Cancelled.": "キャンセルしました。",
    "unnamed": "名称未設定",
    "Glazed: {name}": "Glaze：{name}",
    "The engine sleeps; the first picture wakes it.": "エンジンは休止中です。最初の画像で起動します。",
    "Looking for the engine …": "エンジンを探しています …",
    "Connected": "接続済み",
    "Ready on {device}": "準備完了：{device}",
    "The engine is starting.": "エンジンを起動しています。",
    "The engine rests; the next picture wakes it.": "エンジンは休憩中です。次の画像で再開します。",
    "The engine does not start; `glaze doctor` says why.": (
        "エンジンが起動しません。`glaze doctor` で理由がわかります。"
    ),
    "{stage}, about {time} left": "{stage}（残り約 {time}）",
    "{minutes} min {seconds} s": "{minutes} 分 {seconds} 秒",
    "{seconds} s": "{seconds} 秒",
    "stage waiting": "待機中",
    "stage sending": "送信中",
    "stage starting the engine": "エンジン起動中",
    "stage choosing a style": "スタイルを選択中",
    "stage painting the target": "目標を描画中",
    "stage cloaking": "加工中",
    "stage fitting to the eye": "見た目を調整中",
    "stage measuring": "測定中",
    "stage inserting": "挿入中",
    "state running": "実行中",
    "state finished": "完了・未挿入",
    "state inserting": "挿入中",
    "state review": "確認中",
    "state kept": "保存済み",
    "state discarded": "破棄済み",
    "state failed": "失敗",
    "Shift {shift:.2f} at {percent} % opacity; noise as visible as all of it: {noise:.2f}.": (
        "変位 {shift:.2f}（不透明度 {percent} %）。全体と同程度に見えるノイズ：{noise:.2f}。"
    ),
    "LPIPS {alex:.3f}, largest change {change:.0f} of 255.": "LPIPS {alex:.3f}、最大変化 {change:.0f}/255。",
    "Measured, not guaranteed: cloaks of this kind have been broken.": (
        "測定値であり、保証ではありません。この種の加工は破られたことがあります。"
    ),
    "“{name}” was finished while the picture was closed.": "「{name}」は画像を閉じている間に完了しました。",
    "“{name}” is being cloaked already.": "「{name}」はすでに加工中です。",
    "The picture was closed, so its cloak was dropped.": "画像が閉じられたため、加工を破棄しました。",
    "The layer was deleted, so its cloak was dropped.": "レイヤーが削除されたため、加工を破棄しました。",
    "The picture was closed; its cloak waits until it is opened.": (
        "画像が閉じられました。次に開いたときに加工を挿入できます。"
    ),
    "The cloaked layer was taken out.": "加工レイヤーが取り除かれました。",
    "The cloaked layer is back.": "加工レイヤーが戻りました。",
    "Starting the Glaze daemon": "エンジンを起動しています",
    "Waiting for the Glaze daemon": "エンジンを待っています",
    "The Glaze daemon has stopped.": "エンジンが停止しました。",
    "The Glaze daemon has not answered for 5 seconds.": "エンジンが 5 秒間応答していません。",
    "The Glaze daemon has not come up within 60 seconds.": "エンジンが 60 秒以内に起動しませんでした。",
    "Try again.": "もう一度お試しください。",
    "`glaze doctor` looks for the reason.": "`glaze doctor` で理由を調べられます。",
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
    "refused no_layer": "レイヤーが選択されていません。",
    "refused mask": "マスクには画素がありません。マスクの付いたレイヤーを選んでください。",
    "refused pass_through": "パススルーグループには画素がありません。中のレイヤーを選んでください。",
    "refused colours": "この色空間は Krita で変換できません。",
    "note mask": "マスクの付いたレイヤーを加工します。",
    "refused empty": "このレイヤーには何も描かれていません。",
    "refused no_selection": "選択範囲がないか、レイヤーの外にあります。",
    "refused too_small": "小さすぎます。各辺 32 px 以上が必要です。",
    "refused too_large": "大きすぎて加工できません。",
    "note hidden": "レイヤーは非表示ですが、加工します。",
    "note locked": "レイヤーはロックされています。元は変えず、上に加工レイヤーを置きます。",
    "note animated": (
        "アニメーションの現在のフレームだけを加工します。"
        "すべて加工するにはメニューの「全キーフレームを Glaze 加工」を選んでください。"
    ),
    "Glaze all key frames": "全キーフレームを Glaze 加工",
    "This layer has no key frames.": "このレイヤーにキーフレームはありません。",
    "Frame {number} of {count}: {stage}": "フレーム {number}/{count}：{stage}",
    "note projection": "レイヤーの見えている状態を加工します。",
    "Encoder": "エンコーダー",
    "automatic": "自動",
    "Get models…": "モデルを入手…",
    "Models": "モデル",
    "These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.": (
        "モデルは Hugging Face Hub から取得します。「ダウンロード」を押すまで何もダウンロードされません。"
    ),
    "Download": "ダウンロード",
    "Close": "閉じる",
    "Size": "サイズ",
    "Licence": "ライセンス",
    "State": "状態",
    "Stands for": "対応モデル",
    "on this computer": "このコンピューターにあり",
    "on no hub": "ハブになし",
    "needs an account": "アカウントが必要",
    "“{name}” is here now and can be chosen as encoder.": "「{name}」を入手しました。エンコーダーとして選べます。",
    "stage asking the hub": "ハブに問い合わせ中",
    "stage downloading": "ダウンロード中",
    "stage checking what came": "内容を確認中",
    "model offline": "このコンピューターではダウンロードが無効です（HF_HUB_OFFLINE）。",
    "model needs_token": (
        "このモデルはライセンスに同意した人だけが入手できます。huggingface.co のモデルのページで同意し、"
        "アカウントのトークンをホームフォルダーの .cache/huggingface/token に保存してください。"
    ),
    "model not_found": "ハブにこのモデルが見つかりません。",
    "model no_hub": "ハブではないものが応答しました。",
    "model hub_busy": "ハブが混み合っています。後でもう一度試すと、続きから再開します。",
    "model hub_error": "ハブでエラーが起きました。後でもう一度試すと、続きから再開します。",
    "model no_connection": "ハブに接続できません。もう一度試すと、続きから再開します。",
    "model disk_full": "ディスクの空きが足りません。空きを作ってもう一度試すと、続きから再開します。",
    "model checksum": "届いた内容が公開されたファイルと違うため破棄しました。もう一度お試しください。",
    "model busy": "別のプログラムがこのモデルをダウンロード中です。",
    "model downloading": "別のダウンロードが進行中です。終わるまでお待ちください。",
    "model download_stopped": "ダウンロードが予期せず止まりました。もう一度試すと、続きから再開します。",
    "model unknown_job": "ダウンロードが中断されました。もう一度試すと、続きから再開します。",
}

ENGLISH = {
    "refused no_document": "No picture is open.",
    "refused no_layer": "No layer is selected.",
    "refused mask": "A mask has no pixels of its own; select the layer that it belongs to.",
    "refused pass_through": "A pass-through group has no pixels of its own; select a layer in it.",
    "refused colours": "Krita cannot convert this colour space.",
    "note mask": "The layer that the mask belongs to is cloaked.",
    "refused empty": "Nothing is painted on this layer.",
    "refused no_selection": "Nothing is selected, or the selection lies beside the layer.",
    "refused too_small": "This is too small: at least 32 px a side are needed.",
    "refused too_large": "This is too large to cloak.",
    "note hidden": "The layer is hidden; it is cloaked all the same.",
    "note locked": "The layer is locked; it stays untouched, and the cloak comes above it.",
    "note animated": (
        "Only the current frame of the animation is cloaked; “Glaze all key frames” in the menu takes all of them."
    ),
    "note projection": "What is visible of the layer is cloaked.",
    "state finished": "finished, not put in",
    "state review": "for review",
    "model offline": "Downloads are switched off on this computer (HF_HUB_OFFLINE).",
    "model needs_token": (
        "This model is given only to those who have accepted its licence: accept it on its page at "
        "huggingface.co, and put a token of your account into the file .cache/huggingface/token in your home "
        "folder."
    ),
    "model not_found": "The hub does not have this model as Glaze knows it.",
    "model no_hub": "What answers for the hub is no hub.",
    "model hub_busy": "The hub is busy; try again later, and the download goes on where it stopped.",
    "model hub_error": "The hub has a fault; try again later, and the download goes on where it stopped.",
    "model no_connection": "The hub cannot be reached; try again, and the download goes on where it stopped.",
    "model disk_full": "There is not enough room on the disk; free some, and the download goes on where it stopped.",
    "model checksum": "What came is not the published file, so it was thrown away; try again.",
    "model busy": "Another program downloads this model already.",
    "model downloading": "Another download is under way; wait until it has ended.",
    "model download_stopped": "The download stopped unexpectedly; try again, and it goes on where it stopped.",
    "model unknown_job": "The download was interrupted; try again, and it goes on where it stopped.",
}

LANGUAGES = {"de": GERMAN, "ja": JAPANESE}


def language():
    """Two letters: Krita's own language setting if there is one, else the system's."""
    return (os.environ.get("LANGUAGE") or QtCore.QLocale().name())[:2]


def tr(text, **values):
    """A text in the artist's language, with its values filled in. Keys such as "state kept" name a short word."""
    known = LANGUAGES.get(language(), {}).get(text) or ENGLISH.get(text)
    if known is None:
        known = text.partition(" ")[2] if text.startswith(("stage ", "state ")) else text
    return known.format(**values) if values else known


def said(error):
    """A GlazeError in words: what happened, and what can be done."""
    return " ".join(tr(text) for text in (error.sentence, error.remedy) if text)


def refused(refusal):
    """Why something cannot be cloaked."""
    return tr(f"refused {refusal.code}")


def about_model(error):
    """Why a model was not downloaded, for people without a terminal."""
    return tr(f"model {error.code}") if f"model {error.code}" in ENGLISH else said(error)
