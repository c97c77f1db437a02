"""Every text that the add-on shows, in the artist's language where there is a translation."""

from __future__ import annotations

from glaze_plugin.texts import Texts

from .host import GLib

GERMAN = {
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
    "Target st_yle": "Zielst_il",
    "Made agai_nst": "Ge_richtet gegen",
    "Get mode_ls…": "Mode_lle holen …",
    "_Download": "_Herunterladen",
}

JAPANESE = {
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
    "Target st_yle": "目標スタイル(_Y)",
    "Made agai_nst": "対象モデル(_N)",
    "Get mode_ls…": "モデルを入手(_L)…",
    "_Download": "ダウンロード(_D)",
}

ENGLISH = {
    "refused indexed": (
        "An indexed picture has only the colours of its palette, too few for a cloak. Image ▸ Mode ▸ RGB changes that."
    ),
    "refused floating": "Anchor the floating selection first.",
    "refused channel": "A channel is not a layer; select the layer that is to be cloaked.",
    "refused empty": "There is nothing in this group.",
    "refused nothing_visible": "No layer is visible, so there is nothing to export.",
    "refused no_selection": "The selection lies beside the layer.",
    "note projection": "What is visible of the group is cloaked.",
}


def language() -> str:
    """Two letters: GIMP's own language setting, which it hands on, else the system's."""
    return str(GLib.get_language_names()[0])[:2]


TEXTS = Texts({"de": GERMAN, "ja": JAPANESE, "en": ENGLISH}, language)
tr, said, about_model = TEXTS.tr, TEXTS.said, TEXTS.about_model
