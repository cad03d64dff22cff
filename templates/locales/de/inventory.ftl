# Packages of clients, and reports by mail.

search-field-updates = Pakete, für die es Aktualisierungen gibt
search-field-security-updates = es gibt Sicherheitsupdates: yes oder no
search-field-reboot-needed = Neustart nötig: yes oder no

packages-of = Pakete auf { $name }
packages-compare = Vergleichen
packages-unknown = Noch keine Paketliste
packages-unknown-more = Der Agent meldet die Pakete, sobald das installierte System läuft. Ein alter Agent muss zuerst aktualisiert werden.
packages-reboot = Ein Neustart ist nötig
packages-services = Diese Dienste laufen noch mit alten Dateien und müssen neu gestartet werden
packages-updates-unknown = Die verfügbaren Updates sind nicht bekannt
packages-summary = Überblick
packages-installed = Installiert
packages-told = Stand
packages-updates = Updates verfügbar
packages-security = Davon Sicherheitsupdates
packages-show = anzeigen
packages-name = Name enthält
packages-only = Nur
packages-only-all = Alle
packages-only-updates = Mit Update
packages-only-security = Mit Sicherheitsupdate
packages-only-held = Zurückgehalten
packages-only-manual = Gezielt installiert
packages-only-automatic = Als Abhängigkeit
packages-count = { $count ->
    [one] 1 Paket
   *[other] { $count } Pakete
}
packages-updates-count = { $count ->
    [0] keine Updates
    [one] 1 Update
   *[other] { $count } Updates
}
packages-security-count = { $count ->
    [one] 1 Sicherheitsupdate
   *[other] { $count } Sicherheitsupdates
}
packages-change = Pakete ändern
packages-more = Gezeigt werden die ersten 1000; die CSV-Datei enthält alle.
packages-none = Kein Paket passt dazu.
packages-all = Alle Pakete zeigen
packages-update = Update
packages-marks = Kennzeichen
packages-security-mark = Sicherheit
packages-held = zurückgehalten
packages-automatic = als Abhängigkeit
packages-history = Verlauf
packages-history-none = Noch keine Änderungen
packages-history-none-more = Hier steht später, was wann und durch welchen Job installiert, aktualisiert oder entfernt wurde.
packages-was = Vorher
packages-became = Nachher
packages-new = nicht installiert
packages-removed = entfernt
packages-earlier = Frühere Änderungen
heading-package = Paket
heading-architecture = Architektur
heading-updates = Updates
heading-security-updates = Sicherheitsupdates
heading-services = Dienste neu starten
heading-packages = Pakete

compare-title = Pakete von { $name } vergleichen
compare-client = Mit einem anderen Client
compare-with = Name des Clients
compare-time = Mit einem früheren Stand
compare-at = Am Ende des Tages (UTC)
compare-do = Vergleichen
compare-same = Beide haben dieselben Pakete in denselben Versionen.
compare-alike = { $count ->
    [one] 1 Paket ist gleich
   *[other] { $count } Pakete sind gleich
}
compare-count = { $count ->
    [one] 1 Unterschied
   *[other] { $count } Unterschiede
}
compare-difference = Unterschied
compare-left = nur auf { $left }
compare-right = nur auf { $right }
compare-older = älter auf { $right }
compare-newer = neuer auf { $right }
compare-other = andere Version

report-packages = Pakete
report-packages-what = Jedes installierte Paket in jeder Version, und auf wie vielen Clients es ist.
report-packages-none = Noch hat kein Agent seine Pakete gemeldet.

report-mails = Berichte per Mail
report-mails-list = Regelmäßige Berichte
report-mails-none = Noch wird kein Bericht verschickt
report-mails-none-more = Legen Sie unten fest, welcher Bericht wann an wen geht. Er kommt als Text mit der Tabelle als CSV-Datei.
report-mail-new = Neuer regelmäßiger Bericht
report-mail-name-hint = Kleinbuchstaben, Ziffern und Bindestriche
report-mail-this = Regelmäßig schicken
report-mail-report = Bericht
report-mail-days = Tage
report-mail-days-hint = Ab wann etwas als überfällig gilt; leer: wie im Bericht üblich
report-mail-every = Wie oft
report-mail-daily = täglich
report-mail-weekly = wöchentlich
report-mail-monthly = monatlich
report-mail-weekday = Wochentag
report-mail-weekday-hint = bei wöchentlichen Berichten
report-mail-day = Tag des Monats
report-mail-day-hint = bei monatlichen Berichten; 31 ist immer der letzte
report-mail-time = Uhrzeit
report-mail-when-empty = Auch schicken, wenn nichts darin steht
report-mail-enabled = Verschicken
report-mail-create = Anlegen
report-mail-edit = Was verschickt wird
report-mail-save = Speichern
report-mail-saved = Gespeichert.
report-mail-send = Jetzt schicken
report-mail-sent-now = Der Mailserver hat den Bericht angenommen.
report-mail-next = Nächster Versand
report-mail-sendings = Bisheriger Versand
report-mail-sendings-none = Noch wurde nichts verschickt.
report-mail-period = Fällig
report-mail-rows = Zeilen
report-mail-ended = Beendet
report-mail-delete = Nicht mehr verschicken
sending-waiting = wartet
sending-sending = wird gesendet
sending-sent = gesendet
sending-given-up = aufgegeben
sending-unknown = ungewiss
weekday-1 = Montag
weekday-2 = Dienstag
weekday-3 = Mittwoch
weekday-4 = Donnerstag
weekday-5 = Freitag
weekday-6 = Samstag
weekday-7 = Sonntag
report-mail-made = Erstellt { $at }, { $count ->
    [one] 1 Zeile
   *[other] { $count } Zeilen
}; vollständig in der angehängten CSV-Datei.
report-mail-left-out = … und { $count } weitere, siehe die angehängte Datei.
report-mail-where = Aktuell unter { $server }/reports/{ $report }
report-mail-why = Sie erhalten diese Mail, weil Ihre Adresse im regelmäßigen Bericht „{ $name }“ eingetragen ist.

action-report-mail-create = Berichtsversand angelegt
action-report-mail-change = Berichtsversand geändert
action-report-mail-delete = Berichtsversand gelöscht
action-report-mail-send = Bericht von Hand verschickt
packages-pins = Pins
packages-pins-none = apt wählt die neueste Version: Hier ist nichts angepinnt.
packages-pin = Anpinnen
packages-pin-more = Sagt apt, welche Version eines Pakets es wählen soll oder woher. Installiert wird dadurch nichts. Ab 1001 auch eine ältere Version, unter 0 nie.
packages-pin-by = Nach
packages-pin-version = Version
packages-pin-origin = Herkunft (Rechner des Archivs)
packages-pin-release = Release
packages-pin-word = Welche
packages-pin-priority = Priorität
packages-pin-theirs = nicht von Lotse
packages-unpin = Pin lösen
