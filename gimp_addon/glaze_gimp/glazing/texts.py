"""Every text that the add-on shows, in the artist's language where there is a translation."""

from __future__ import annotations

from typing import Any

from glaze_plugin.errors import GlazeError

from .host import GLib

GERMAN = {
    "Glaze layer": "Ebene überziehen",
    "Cancelled.": "Abgebrochen.",
    "Discarded.": "Verworfen.",
    "unnamed": "ohne Namen",
    "Glazed: {name}": "Glaze: {name}",
    "Looking for the engine …": "Suche die Engine …",
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
    "Quick and weak": "Schnell und schwach",
    "Standard": "Standard",
    "Thorough and slow": "Gründlich und langsam",
    "Saved as “{path}”.": "Gespeichert als „{path}“.",
    "“{path}” could not be written; nothing was exported.": (
        "„{path}“ konnte nicht geschrieben werden; es wurde nichts exportiert."
    ),
    "Shift {shift:.2f} at {percent} % opacity; noise as visible as all of it: {noise:.2f}.": (
        "Verschiebung {shift:.2f} bei {percent} % Deckkraft; ebenso sichtbares Rauschen: {noise:.2f}."
    ),
    "LPIPS {alex:.3f}, largest change {change:.0f} of 255.": "LPIPS {alex:.3f}, größte Änderung {change:.0f} von 255.",
    "Measured, not guaranteed: cloaks of this kind have been broken.": (
        "Gemessen, nicht garantiert: Überzüge dieser Art sind schon gebrochen worden."
    ),
    "The picture was closed, so its cloak was dropped.": "Das Bild wurde geschlossen, der Überzug verworfen.",
    "The layer was deleted, so its cloak was dropped.": "Die Ebene wurde gelöscht, der Überzug verworfen.",
    "Starting the Glaze daemon": "Die Engine wird gestartet",
    "Waiting for the Glaze daemon": "Warte auf die Engine",
    "The Glaze daemon has stopped.": "Die Engine wurde beendet.",
    "The Glaze daemon has not answered for 5 seconds.": "Die Engine antwortet seit 5 Sekunden nicht.",
    "The Glaze daemon has not come up within 60 seconds.": "Die Engine ist nach 60 Sekunden nicht da.",
    "Try again.": "Versuche es noch einmal.",
    "`glaze doctor` looks for the reason.": "`glaze doctor` sucht den Grund.",
    "refused no_layer": "Es ist keine Ebene ausgewählt.",
    "refused too_small": "Das ist zu klein: mindestens 32 px je Seite sind nötig.",
    "refused too_large": "Das ist zu groß, um es zu überziehen.",
    "note mask": "Es wird die Ebene überzogen, zu der die Maske gehört.",
    "note hidden": "Die Ebene ist verborgen; sie wird trotzdem überzogen.",
    "note locked": "Die Ebene ist gesperrt; sie bleibt unberührt, der Überzug kommt darüber.",
    "_Glaze layer…": "Ebene überzie_hen …",
    "Export Gla_zed Copy…": "Übe_rzogene Kopie exportieren …",
    "Put a style cloak over layers": "Ebenen mit einem Stilüberzug versehen",
    "Export the picture with a style cloak": "Das Bild mit einem Stilüberzug exportieren",
    "Export Glazed Copy": "Überzogene Kopie exportieren",
    "Glazing": "Wird überzogen",
    " – finished": " – fertig",
    " – saved": " – gespeichert",
    "_Before": "_Vorher",
    "_After": "_Nachher",
    "_Difference ×8": "_Unterschied ×8",
    "_Full size": "Volle _Größe",
    "_Quality": "_Qualität",
    "_Strength": "_Stärke",
    "_Opacity": "_Deckkraft",
    "_Glaze": "Ü_berziehen",
    "Disca_rd": "Ver_werfen",
    "_Insert": "_Einfügen",
    "_Cancel": "Abbre_chen",
    "_Close": "S_chließen",
    "_Export": "_Exportieren",
    "_Browse…": "Durch_suchen …",
    "_Choose": "Aus_wählen",
    "_Replace": "E_rsetzen",
    "Replace?": "Ersetzen?",
    "_File": "_Datei",
    "_JPEG quality": "_JPEG-Qualität",
    "_Metadata": "_Metadaten",
    "_Convert to RGB": "In RGB _umwandeln",
    "_Replace the file": "Datei e_rsetzen",
    "C_onvert the copy to RGB; a palette cannot hold a cloak": (
        "Die K_opie in RGB umwandeln; eine Palette fasst keinen Überzug"
    ),
    "Author and copyright alone": "Nur Urheber und Urheberrecht",
    "Everything but places and serial numbers": "Alles außer Orten und Seriennummern",
    "Everything": "Alles",
    "Nothing": "Nichts",
    "_Try again": "Noch einmal _versuchen",
    "_Restart the engine": "Engine neu s_tarten",
    "No file was named.": "Es wurde keine Datei genannt.",
    "A glazed copy can be a PNG, JPEG, WebP or TIFF file.": (
        "Eine überzogene Kopie kann eine PNG-, JPEG-, WebP- oder TIFF-Datei sein."
    ),
    "There is no folder “{path}”.": "Den Ordner „{path}“ gibt es nicht.",
    "This is the picture's own file; choose another name.": (
        "Das ist die Datei des Bildes selbst; wähle einen anderen Namen."
    ),
    "“{name}” is there already and was not replaced.": "„{name}“ gibt es schon und wurde nicht ersetzt.",
    "“{name}” is there already. Replace it?": "„{name}“ gibt es schon. Ersetzen?",
    "The picture was closed.": "Das Bild wurde geschlossen.",
    "The picture has other colours now, so its cloak does not fit any more.": (
        "Das Bild hat jetzt andere Farben, der Überzug passt nicht mehr."
    ),
    "The layer is not wholly opaque, so it will be hidden below its cloak.": (
        "Die Ebene ist nicht ganz deckend und wird deshalb unter ihrem Überzug verborgen."
    ),
    "The add-on has a fault of its own: {error}": "Die Erweiterung hat einen eigenen Fehler: {error}",
    "refused indexed": (
        "Ein indiziertes Bild hat nur die Farben seiner Palette, "
        "zu wenige für einen Überzug. Bild ▸ Modus ▸ RGB ändert das."
    ),
    "refused floating": "Verankere zuerst die schwebende Auswahl.",
    "refused channel": "Ein Kanal ist keine Ebene; wähle die Ebene, die überzogen werden soll.",
    "refused empty": "In dieser Gruppe ist nichts.",
    "refused nothing_visible": "Keine Ebene ist sichtbar, also gibt es nichts zu exportieren.",
    "refused no_selection": "Die Auswahl liegt neben der Ebene.",
    "note projection": "Es wird überzogen, was von der Gruppe zu sehen ist.",
    "Encoder": "Encoder",
    "automatic": "automatisch",
    "Models": "Modelle",
    "These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.": (
        "Sie kommen vom Hugging Face Hub. Bevor du „Herunterladen“ drückst, wird nichts heruntergeladen."
    ),
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
    "E_ncoder": "Encode_r",
    "Get mode_ls…": "Mode_lle holen …",
    "_Download": "_Herunterladen",
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
    "Cancelled.": "キャンセルしました。",
    "Discarded.": "破棄しました。",
    "unnamed": "名称未設定",
    "Glazed: {name}": "Glaze：{name}",
    "Looking for the engine …": "エンジンを探しています …",
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
    "Quick and weak": "速い・弱い",
    "Standard": "標準",
    "Thorough and slow": "丁寧・遅い",
    "Saved as “{path}”.": "「{path}」に保存しました。",
    "“{path}” could not be written; nothing was exported.": "「{path}」に書き込めず、何も書き出されませんでした。",
    "Shift {shift:.2f} at {percent} % opacity; noise as visible as all of it: {noise:.2f}.": (
        "変位 {shift:.2f}（不透明度 {percent} %）。全体と同程度に見えるノイズ：{noise:.2f}。"
    ),
    "LPIPS {alex:.3f}, largest change {change:.0f} of 255.": "LPIPS {alex:.3f}、最大変化 {change:.0f}/255。",
    "Measured, not guaranteed: cloaks of this kind have been broken.": (
        "測定値であり、保証ではありません。この種の加工は破られたことがあります。"
    ),
    "The picture was closed, so its cloak was dropped.": "画像が閉じられたため、加工を破棄しました。",
    "The layer was deleted, so its cloak was dropped.": "レイヤーが削除されたため、加工を破棄しました。",
    "Starting the Glaze daemon": "エンジンを起動しています",
    "Waiting for the Glaze daemon": "エンジンを待っています",
    "The Glaze daemon has stopped.": "エンジンが停止しました。",
    "The Glaze daemon has not answered for 5 seconds.": "エンジンが 5 秒間応答していません。",
    "The Glaze daemon has not come up within 60 seconds.": "エンジンが 60 秒以内に起動しませんでした。",
    "Try again.": "もう一度お試しください。",
    "`glaze doctor` looks for the reason.": "`glaze doctor` で理由を調べられます。",
    "refused no_layer": "レイヤーが選択されていません。",
    "refused too_small": "小さすぎます。各辺 32 px 以上が必要です。",
    "refused too_large": "大きすぎて加工できません。",
    "note mask": "マスクの付いたレイヤーを加工します。",
    "note hidden": "レイヤーは非表示ですが、加工します。",
    "note locked": "レイヤーはロックされています。元は変えず、上に加工レイヤーを置きます。",
    "_Glaze layer…": "レイヤーを Glaze 加工(_G)…",
    "Export Gla_zed Copy…": "Glaze 加工したコピーを書き出し(_Z)…",
    "Put a style cloak over layers": "レイヤーにスタイルの覆いをかける",
    "Export the picture with a style cloak": "スタイルの覆いをかけた画像を書き出す",
    "Export Glazed Copy": "Glaze 加工したコピーを書き出し",
    "Glazing": "Glaze 加工中",
    " – finished": " – 完了",
    " – saved": " – 保存済み",
    "_Before": "加工前(_B)",
    "_After": "加工後(_A)",
    "_Difference ×8": "差分 ×8(_D)",
    "_Full size": "等倍(_F)",
    "_Quality": "品質(_Q)",
    "_Strength": "強さ(_S)",
    "_Opacity": "不透明度(_O)",
    "_Glaze": "加工(_G)",
    "Disca_rd": "破棄(_R)",
    "_Insert": "挿入(_I)",
    "_Cancel": "キャンセル(_C)",
    "_Close": "閉じる(_C)",
    "_Export": "書き出し(_E)",
    "_Browse…": "参照(_B)…",
    "_Choose": "選択(_C)",
    "_Replace": "置き換え(_R)",
    "Replace?": "置き換えますか？",
    "_File": "ファイル(_F)",
    "_JPEG quality": "JPEG 品質(_J)",
    "_Metadata": "メタデータ(_M)",
    "_Convert to RGB": "RGB に変換(_C)",
    "_Replace the file": "ファイルを置き換え(_R)",
    "C_onvert the copy to RGB; a palette cannot hold a cloak": "コピーを RGB に変換(_O)（パレットでは加工できません）",
    "Author and copyright alone": "作者と著作権のみ",
    "Everything but places and serial numbers": "場所とシリアル番号以外すべて",
    "Everything": "すべて",
    "Nothing": "なし",
    "_Try again": "再試行(_T)",
    "_Restart the engine": "エンジンを再起動(_R)",
    "No file was named.": "ファイルが指定されていません。",
    "A glazed copy can be a PNG, JPEG, WebP or TIFF file.": (
        "Glaze 加工したコピーは PNG、JPEG、WebP、TIFF で保存できます。"
    ),
    "There is no folder “{path}”.": "フォルダー「{path}」がありません。",
    "This is the picture's own file; choose another name.": "これは元の画像のファイルです。別の名前を選んでください。",
    "“{name}” is there already and was not replaced.": "「{name}」はすでにあるため、置き換えませんでした。",
    "“{name}” is there already. Replace it?": "「{name}」はすでにあります。置き換えますか？",
    "The picture was closed.": "画像が閉じられました。",
    "The picture has other colours now, so its cloak does not fit any more.": (
        "画像の色の設定が変わったため、加工が合わなくなりました。"
    ),
    "The layer is not wholly opaque, so it will be hidden below its cloak.": (
        "完全に不透明ではないレイヤーなので、加工レイヤーの下で隠されます。"
    ),
    "The add-on has a fault of its own: {error}": "アドオン自体の不具合です：{error}",
    "refused indexed": (
        "インデックスカラーの画像はパレットの色しか持てず、加工できません。画像 ▸ モード ▸ RGB で変えられます。"
    ),
    "refused floating": "先にフローティング選択範囲を固定してください。",
    "refused channel": "チャンネルはレイヤーではありません。加工するレイヤーを選んでください。",
    "refused empty": "このグループには何もありません。",
    "refused nothing_visible": "表示されているレイヤーがないため、書き出すものがありません。",
    "refused no_selection": "選択範囲がレイヤーの外にあります。",
    "note projection": "グループの見えている状態を加工します。",
    "Encoder": "エンコーダー",
    "automatic": "自動",
    "Models": "モデル",
    "These come from the Hugging Face hub. Nothing is downloaded before you press “Download”.": (
        "モデルは Hugging Face Hub から取得します。「ダウンロード」を押すまで何もダウンロードされません。"
    ),
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
    "E_ncoder": "エンコーダー(_N)",
    "Get mode_ls…": "モデルを入手(_L)…",
    "_Download": "ダウンロード(_D)",
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
    "refused indexed": (
        "An indexed picture has only the colours of its palette, too few for a cloak. Image ▸ Mode ▸ RGB changes that."
    ),
    "refused floating": "Anchor the floating selection first.",
    "refused no_layer": "No layer is selected.",
    "refused channel": "A channel is not a layer; select the layer that is to be cloaked.",
    "refused empty": "There is nothing in this group.",
    "refused nothing_visible": "No layer is visible, so there is nothing to export.",
    "refused no_selection": "The selection lies beside the layer.",
    "refused too_small": "This is too small: at least 32 px a side are needed.",
    "refused too_large": "This is too large to cloak.",
    "note mask": "The layer that the mask belongs to is cloaked.",
    "note hidden": "The layer is hidden; it is cloaked all the same.",
    "note locked": "The layer is locked; it stays untouched, and the cloak comes above it.",
    "note projection": "What is visible of the group is cloaked.",
    "model offline": "Downloads are switched off on this computer (HF_HUB_OFFLINE).",
    "model needs_token": (
        "This model is given only to those who have accepted its licence: accept it on its page at huggingface.co, "
        "and put a token of your account into the file .cache/huggingface/token in your home folder."
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


def language() -> str:
    """Two letters: GIMP's own language setting, which it hands on, else the system's."""
    return str(GLib.get_language_names()[0])[:2]


def tr(text: str, **values: Any) -> str:
    """A text in the artist's language, with its values filled in. Keys such as "stage measuring" name a short word."""
    known = LANGUAGES.get(language(), {}).get(text) or ENGLISH.get(text)
    if known is None:
        known = text.partition(" ")[2] if text.startswith("stage ") else text
    return known.format(**values) if values else known


def said(error: GlazeError) -> str:
    """A GlazeError in words: what happened, and what can be done."""
    return " ".join(tr(text) for text in (error.sentence, error.remedy) if text)


def about_model(error: GlazeError) -> str:
    """Why a model was not downloaded, for people without a terminal."""
    return tr(f"model {error.code}") if f"model {error.code}" in ENGLISH else said(error)
