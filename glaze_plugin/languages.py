"""Texts that painting programs show alike: German and Japanese, and English for keys that are no sentence."""

GERMAN = {
    "Glaze layer": "Ebene überziehen",
    "“{path}” could not be written; nothing was exported.": (
        "„{path}“ konnte nicht geschrieben werden; es wurde nichts exportiert."
    ),
    "This is the picture's own file; choose another name.": (
        "Das ist die Datei des Bildes selbst; wähle einen anderen Namen."
    ),
    "Saved as “{path}”.": "Gespeichert als „{path}“.",
    "Quick and weak": "Schnell und schwach",
    "Standard": "Standard",
    "Thorough and slow": "Gründlich und langsam",
    "Discarded.": "Verworfen.",
    "Cancelled.": "Abgebrochen.",
    "unnamed": "ohne Namen",
    "Glazed: {name}": "Glaze: {name}",
    "Looking for the engine …": "Suche die Engine …",
    "Ready on {device}": "Bereit auf {device}",
    "The engine is starting.": "Die Engine startet.",
    "The engine rests; the next picture wakes it.": "Die Engine ruht; das nächste Bild weckt sie.",
    "The engine does not start. “Restart the engine” tries again; why it fails, this file tells: {path}": (
        "Die Engine startet nicht. „Engine neu starten“ versucht es noch einmal; woran es liegt, steht in dieser "
        "Datei: {path}"
    ),
    "{stage}, about {time} left": "{stage}, noch etwa {time}",
    "{minutes} min {seconds} s": "{minutes} min {seconds} s",
    "{seconds} s": "{seconds} s",
    "stage waiting": "wartet",
    "stage sending": "wird gesendet",
    "stage starting the engine": "Engine startet",
    "stage choosing a style": "sucht einen Stil",
    "stage writing a trial": "schreibt eine Probe",
    "stage painting the target": "malt das Ziel",
    "stage cloaking": "überzieht",
    "stage fitting to the eye": "passt ans Auge an",
    "stage keeping the file small": "hält die Datei klein",
    "stage measuring": "misst",
    "stage inserting": "wird eingefügt",
    "At {percent} % opacity: shift {shift:.2f}, LPIPS {alex:.3f}, largest change {change:.0f} of 255.": (
        "Bei {percent} % Deckkraft: Verschiebung {shift:.2f}, LPIPS {alex:.3f}, größte Änderung {change:.0f} von 255."
    ),
    "At 100 % opacity: {statement}": "Bei 100 % Deckkraft: {statement}",
    "Only visibility was measured.": "Nur die Sichtbarkeit wurde gemessen.",
    "Nothing was measured against other models.": "Gegen andere Modelle wurde nichts gemessen.",
    "after half": "nach dem Halbieren",
    "after quarter": "nach dem Verkleinern auf ein Viertel",
    "after jpeg75": "nach JPEG mit Qualität 75",
    "after half_jpeg75": "nach Halbieren und JPEG",
    "after crop": "nach einem Beschnitt",
    "statement trained": (
        "Gemessen am Bild in {width}×{height} px, etwa der Größe, mit der Generatoren trainiert werden."
    ),
    "statement moved": (
        "Gegen „{name}“ ist das Bild {shift:.2f} des Weges zum Zielstil gewandert ({worst:.2f} {after}, wo am "
        "wenigsten bleibt); ebenso sichtbares Rauschen bewegt es {noise:.2f}."
    ),
    "statement broken": (
        "Was Überzüge dieser Art bekanntermaßen bricht und für dieses Bild nicht gemessen wurde: Rauschen und "
        "Hochskalieren, Reinigung (IMPRESS, DiffPure, GrIDPure) und Netze, die gelernt haben, sie zu entfernen "
        "(LightShed)."
    ),
    "The picture was closed, so its cloak was dropped.": "Das Bild wurde geschlossen, der Überzug verworfen.",
    "The layer was deleted, so its cloak was dropped.": "Die Ebene wurde gelöscht, der Überzug verworfen.",
    "Starting the Glaze daemon": "Die Engine wird gestartet",
    "Waiting for the Glaze daemon": "Warte auf die Engine",
    "The Glaze daemon has stopped.": "Die Engine wurde beendet.",
    "The Glaze daemon has not answered for 5 seconds.": "Die Engine antwortet seit 5 Sekunden nicht.",
    "The Glaze daemon has not come up within 60 seconds.": "Die Engine ist nach 60 Sekunden nicht da.",
    "Try again.": "Versuche es noch einmal.",
    "A Flatpak's sandbox cannot start the Glaze daemon.": "Ein Flatpak kann die Engine nicht starten.",
    "Start it outside: `glaze daemon start`.": "Starte sie außerhalb, in einem Terminal: `glaze daemon start`.",
    "A Flatpak's sandbox cannot stop the Glaze daemon.": "Ein Flatpak kann die Engine nicht beenden.",
    "Stop it outside: `glaze daemon restart`.": "Beende sie außerhalb, in einem Terminal: `glaze daemon restart`.",
    "`glaze doctor` looks for the reason.": (
        "„Noch einmal versuchen“ probiert es wieder; in einem Terminal sucht `glaze doctor` den Grund."
    ),
    "After an update restart the daemon with `glaze daemon restart`; finished results are kept.": (
        "Drücke nach einem Update „Engine neu starten“; fertige Ergebnisse bleiben erhalten."
    ),
    "Wait if the machine is busy, or restart it with `glaze daemon restart`; no job is lost.": (
        "Warte, falls der Rechner beschäftigt ist, oder drücke „Engine neu starten“; kein Auftrag geht verloren."
    ),
    "`glaze doctor` may know why.": (
        "„Engine neu starten“ versucht es noch einmal; in einem Terminal weiß `glaze doctor` vielleicht, warum."
    ),
    "refused no_layer": "Es ist keine Ebene ausgewählt.",
    "note mask": "Es wird die Ebene überzogen, zu der die Maske gehört.",
    "refused too_small": "Das ist zu klein: mindestens 32 px je Seite sind nötig.",
    "refused too_large": "Das ist zu groß, um es zu überziehen.",
    "note hidden": "Die Ebene ist verborgen; sie wird trotzdem überzogen.",
    "note locked": "Die Ebene ist gesperrt; sie bleibt unberührt, der Überzug kommt darüber.",
    "Target style": "Zielstil",
    "the next picture chooses": "wählt das nächste Bild",
    "None is kept yet.": "Es ist noch keiner festgelegt.",
    "chosen learned": "Er wurde aus deinen Bildern gelernt.",
    "chosen set": "Du hast ihn gewählt.",
    "chosen first picture": "Dein erstes Bild hat ihn gewählt.",
    "All your pictures are drawn towards one style, since different ones average out in a model.": (
        "Alle deine Bilder werden zu einem Stil hingezogen, denn verschiedene mitteln sich in einem Modell heraus."
    ),
    "Pictures that you cloak after a change pull another way than those before.": (
        "Bilder, die du nach einem Wechsel überziehst, ziehen woandershin als die davor."
    ),
    "From now on your pictures are drawn towards “{style}”.": (
        "Von jetzt an werden deine Bilder zu „{style}“ hingezogen."
    ),
    "No target style is kept any more; the next picture chooses one.": (
        "Es ist kein Zielstil mehr festgelegt; das nächste Bild wählt einen."
    ),
    "Made against": "Gerichtet gegen",
    "hint against": (
        "Ein Überzug wird gegen bestimmte Modelle berechnet und tut gegen andere vielleicht nichts. „automatisch“ "
        "nimmt alle, die da sind und die dieser Rechner tragen kann."
    ),
    "Model": "Modell",
    "“{name}” is here now, and cloaks can be made against it.": (
        "„{name}“ ist jetzt da, und Überzüge können dagegen gerichtet werden."
    ),
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
    "stage asking the hub": "fragt den Hub",
    "stage downloading": "lädt herunter",
    "stage checking what came": "prüft, was gekommen ist",
    "model offline": "Auf diesem Rechner sind Downloads abgeschaltet (HF_HUB_OFFLINE).",
    "model needs_token": (
        "Dieses Modell bekommt nur, wer seiner Lizenz zugestimmt hat. Stimme ihr auf seiner Seite bei huggingface.co "
        "zu, lege dort unter Settings ▸ Access Tokens ein Token an und speichere es als Textdatei mit dem Namen "
        "„token“ im Ordner .cache/huggingface deines persönlichen Ordners; Dateiverwaltungen zeigen solche Ordner "
        "nach Strg+H."
    ),
    "model bad_token": (
        "Der Hub nimmt dein Token nicht an; vielleicht ist es abgelaufen. Lege ein neues an und speichere es an "
        "Stelle des alten als Datei „token“ im Ordner .cache/huggingface deines persönlichen Ordners, oder lösche "
        "die Datei: Die meisten Modelle brauchen keines."
    ),
    "model bad_proxy": (
        "Der Proxy, der auf diesem Rechner eingestellt ist, taugt nicht für Downloads; er muss einer für HTTP sein."
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
    "“{path}” could not be written; nothing was exported.": "「{path}」に書き込めず、何も書き出されませんでした。",
    "This is the picture's own file; choose another name.": "これは元の画像のファイルです。別の名前を選んでください。",
    "Saved as “{path}”.": "「{path}」に保存しました。",
    "Quick and weak": "速い・弱い",
    "Standard": "標準",
    "Thorough and slow": "丁寧・遅い",
    "Discarded.": "破棄しました。",
    "Cancelled.": "キャンセルしました。",
    "unnamed": "名称未設定",
    "Glazed: {name}": "Glaze：{name}",
    "Looking for the engine …": "エンジンを探しています …",
    "Ready on {device}": "準備完了：{device}",
    "The engine is starting.": "エンジンを起動しています。",
    "The engine rests; the next picture wakes it.": "エンジンは休憩中です。次の画像で再開します。",
    "The engine does not start. “Restart the engine” tries again; why it fails, this file tells: {path}": (
        "エンジンが起動しません。「エンジンを再起動」でもう一度試せます。原因はこのファイルに書かれています：{path}"
    ),
    "{stage}, about {time} left": "{stage}（残り約 {time}）",
    "{minutes} min {seconds} s": "{minutes} 分 {seconds} 秒",
    "{seconds} s": "{seconds} 秒",
    "stage waiting": "待機中",
    "stage sending": "送信中",
    "stage starting the engine": "エンジン起動中",
    "stage choosing a style": "スタイルを選択中",
    "stage writing a trial": "試し書き出し中",
    "stage painting the target": "目標を描画中",
    "stage cloaking": "加工中",
    "stage fitting to the eye": "見た目を調整中",
    "stage keeping the file small": "ファイルサイズを調整中",
    "stage measuring": "測定中",
    "stage inserting": "挿入中",
    "At {percent} % opacity: shift {shift:.2f}, LPIPS {alex:.3f}, largest change {change:.0f} of 255.": (
        "不透明度 {percent} %：変位 {shift:.2f}、LPIPS {alex:.3f}、最大変化 {change:.0f}/255。"
    ),
    "At 100 % opacity: {statement}": "不透明度 100 %：{statement}",
    "Only visibility was measured.": "見えやすさだけを測定しました。",
    "Nothing was measured against other models.": "他のモデルに対しては測定していません。",
    "after half": "半分に縮小した後",
    "after quarter": "4 分の 1 に縮小した後",
    "after jpeg75": "品質 75 の JPEG 保存後",
    "after half_jpeg75": "半分に縮小して JPEG 保存した後",
    "after crop": "切り抜いた後",
    "statement trained": "生成モデルの学習時に近い {width}×{height} px に縮小した画像で測定しました。",
    "statement moved": (
        "「{name}」に対して、画像は目標スタイルまでの道のりの {shift:.2f} だけ動きました（最も残らないのは{after}で "
        "{worst:.2f}）。同程度に見えるノイズでは {noise:.2f} です。"
    ),
    "statement broken": (
        "この種の加工を破ることが知られ、この画像では測定していないもの：ノイズと拡大、浄化（IMPRESS、DiffPure、"
        "GrIDPure）、除去を学習したネットワーク（LightShed）。"
    ),
    "The picture was closed, so its cloak was dropped.": "画像が閉じられたため、加工を破棄しました。",
    "The layer was deleted, so its cloak was dropped.": "レイヤーが削除されたため、加工を破棄しました。",
    "Starting the Glaze daemon": "エンジンを起動しています",
    "Waiting for the Glaze daemon": "エンジンを待っています",
    "The Glaze daemon has stopped.": "エンジンが停止しました。",
    "The Glaze daemon has not answered for 5 seconds.": "エンジンが 5 秒間応答していません。",
    "The Glaze daemon has not come up within 60 seconds.": "エンジンが 60 秒以内に起動しませんでした。",
    "Try again.": "もう一度お試しください。",
    "A Flatpak's sandbox cannot start the Glaze daemon.": "Flatpak の中からはエンジンを起動できません。",
    "Start it outside: `glaze daemon start`.": "外の端末で `glaze daemon start` を実行してください。",
    "A Flatpak's sandbox cannot stop the Glaze daemon.": "Flatpak の中からはエンジンを停止できません。",
    "Stop it outside: `glaze daemon restart`.": "外の端末で `glaze daemon restart` を実行してください。",
    "`glaze doctor` looks for the reason.": (
        "「再試行」でもう一度試せます。端末では `glaze doctor` で理由を調べられます。"
    ),
    "After an update restart the daemon with `glaze daemon restart`; finished results are kept.": (
        "更新後は「エンジンを再起動」を押してください。完了した結果は残ります。"
    ),
    "Wait if the machine is busy, or restart it with `glaze daemon restart`; no job is lost.": (
        "コンピューターが忙しい場合は待つか、「エンジンを再起動」を押してください。作業は失われません。"
    ),
    "`glaze doctor` may know why.": (
        "「エンジンを再起動」でもう一度試せます。端末では `glaze doctor` で理由がわかることがあります。"
    ),
    "refused no_layer": "レイヤーが選択されていません。",
    "note mask": "マスクの付いたレイヤーを加工します。",
    "refused too_small": "小さすぎます。各辺 32 px 以上が必要です。",
    "refused too_large": "大きすぎて加工できません。",
    "note hidden": "レイヤーは非表示ですが、加工します。",
    "note locked": "レイヤーはロックされています。元は変えず、上に加工レイヤーを置きます。",
    "Target style": "目標スタイル",
    "the next picture chooses": "次の画像で決定",
    "None is kept yet.": "まだ決まっていません。",
    "chosen learned": "あなたの作品から学習して選ばれました。",
    "chosen set": "あなたが選びました。",
    "chosen first picture": "最初の画像で選ばれました。",
    "All your pictures are drawn towards one style, since different ones average out in a model.": (
        "すべての作品を同じスタイルへ近づけます。ばらばらだとモデルの中で打ち消し合うためです。"
    ),
    "Pictures that you cloak after a change pull another way than those before.": (
        "変更後に加工した画像は、それまでの画像とは別の方向を向きます。"
    ),
    "From now on your pictures are drawn towards “{style}”.": "これからの画像は「{style}」へ近づけます。",
    "No target style is kept any more; the next picture chooses one.": (
        "目標スタイルの指定を解除しました。次の画像で決まります。"
    ),
    "Made against": "対象モデル",
    "hint against": (
        "加工は特定のモデルに対して計算され、他のモデルには効かないことがあります。「自動」は、手元にあってこのコンピ"
        "ューターで扱えるものをすべて対象にします。"
    ),
    "Model": "モデル",
    "“{name}” is here now, and cloaks can be made against it.": "「{name}」を入手しました。加工の対象に選べます。",
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
    "stage asking the hub": "ハブに問い合わせ中",
    "stage downloading": "ダウンロード中",
    "stage checking what came": "内容を確認中",
    "model offline": "このコンピューターではダウンロードが無効です（HF_HUB_OFFLINE）。",
    "model needs_token": (
        "このモデルはライセンスに同意した人だけが入手できます。huggingface.co のモデルのページで同意し、Settings ▸ Ac"
        "cess Tokens でトークンを作り、ホームフォルダーの .cache/huggingface に「token」という名前のテキストファイル"
        "として保存してください。このフォルダーはファイルマネージャーで Ctrl+H を押すと表示されます。"
    ),
    "model bad_token": (
        "ハブがトークンを受け付けません。期限切れかもしれません。新しいトークンを作り、ホームフォルダーの "
        ".cache/huggingface にある「token」を置き換えるか、そのファイルを削除してください。ほとんどのモデルにトークンは"
        "不要です。"
    ),
    "model bad_proxy": "このコンピューターに設定されたプロキシはダウンロードに使えません。HTTP プロキシが必要です。",
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
    "refused no_layer": "No layer is selected.",
    "note mask": "The layer that the mask belongs to is cloaked.",
    "refused too_small": "This is too small: at least 32 px a side are needed.",
    "refused too_large": "This is too large to cloak.",
    "note hidden": "The layer is hidden; it is cloaked all the same.",
    "note locked": "The layer is locked; it stays untouched, and the cloak comes above it.",
    "chosen learned": "It was learned from your pictures.",
    "chosen set": "You chose it.",
    "chosen first picture": "Your first picture chose it.",
    "statement trained": "Measured at {width}×{height} px, about as large as generators are trained on.",
    "statement moved": (
        "Against “{name}” the picture moved {shift:.2f} of the way to the target style ({worst:.2f} {after}, where "
        "least is left); noise that is as visible moves it {noise:.2f}."
    ),
    "statement broken": (
        "Known to defeat cloaks of this kind, and not measured for this picture: noise and upscaling, purification "
        "(IMPRESS, DiffPure, GrIDPure) and networks trained to remove them (LightShed)."
    ),
    "after half": "after halving",
    "after quarter": "after shrinking to a quarter",
    "after jpeg75": "after JPEG at quality 75",
    "after half_jpeg75": "after halving and JPEG",
    "after crop": "after a crop",
    "`glaze doctor` looks for the reason.": (
        "“Try again” tries once more; in a terminal, `glaze doctor` looks for the reason."
    ),
    "After an update restart the daemon with `glaze daemon restart`; finished results are kept.": (
        "After an update press “Restart the engine”; finished results are kept."
    ),
    "Wait if the machine is busy, or restart it with `glaze daemon restart`; no job is lost.": (
        "Wait if the computer is busy, or press “Restart the engine”; no job is lost."
    ),
    "`glaze doctor` may know why.": "“Restart the engine” tries again; in a terminal, `glaze doctor` may know why.",
    "hint against": (
        "A cloak is computed against certain models and may do nothing against others. “automatic” takes all that "
        "are here and that this computer can carry."
    ),
    "model offline": "Downloads are switched off on this computer (HF_HUB_OFFLINE).",
    "model needs_token": (
        "This model is given only to those who have accepted its licence. Accept it on its page at huggingface.co, "
        "make a token under Settings ▸ Access Tokens there, and save that as a text file named “token” in the folder "
        ".cache/huggingface of your home folder; file managers show such folders after Ctrl+H."
    ),
    "model bad_token": (
        "The hub does not accept your token; it may have expired. Make a new one and save it instead of the old one as "
        "the file “token” in the folder .cache/huggingface of your home folder, or delete that file: most models need "
        "none."
    ),
    "model bad_proxy": "The proxy that is set for this computer cannot be used for downloads; it must be one of HTTP.",
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
