# Suche, Liste der Clients, Gruppen, Sammelaufträge.

search = Clients suchen
search-go = Suchen
search-placeholder = Name, Adresse, Seriennummer oder etwa health:offline
search-total = { $count ->
    [one] ein Client
   *[other] { $count } Clients
}
search-help = Suchhilfe
search-help-words = Einfache Wörter suchen in Namen, MAC- und IP-Adressen und Seriennummern. Genauer wird es mit Feldern; ein * steht für beliebige Zeichen:
search-help-joined = Alles muss zutreffen; mit or, not und Klammern lässt es sich anders verbinden:
search-field-name = Rechnername
search-field-stage = registered, discovered, installing, installed oder retired
search-field-health = ok, warning, critical oder offline
search-field-activity = idle, waiting oder working
search-field-group = Gruppe
search-field-os = laufendes System
search-field-distribution = gewünschte Distribution
search-field-package = installiertes Paket, auch mit Version
search-field-mac = Anfang einer MAC-Adresse
search-field-ip = Anfang einer IP-Adresse oder ein Netz
search-field-model = Hersteller oder Modell
search-field-serial = Seriennummer
search-field-memory = Arbeitsspeicher
search-field-disk = größte Platte
search-field-threads = Prozessor-Threads
search-field-seen = zuletzt gemeldet vor weniger als …; seen:never: nie
search-field-added = angelegt vor weniger als …
search-field-failed = ein Job schlug fehl vor weniger als …
search-filters = Gespeicherte Suchen
search-filters-none = Noch ist keine Suche gespeichert.
search-filter-keep = Diese Suche speichern als
search-filter-save = Speichern
search-filter-share = Für alle sichtbar
search-filter-shared = für alle
search-filter-of = von { $owner }
search-filter-forget = Löschen
search-filter-delete = Gespeicherte Suche { $name } löschen
search-columns = Spalten
search-columns-show = Anzeigen
search-pages = Seiten der Liste
search-previous = Vorige Seite
search-nothing-asked = Die Suche ließ sich nicht lesen.
search-fault-place = Stelle: Zeichen { $place }.
search-fault-possible = Möglich:
search-fault-unknown-field = Ein Feld „{ $found }“ gibt es nicht.
search-fault-unknown-value = Den Wert „{ $found }“ kennt dieses Feld nicht.
search-fault-missing-value = Nach „{ $found }“ fehlt der Wert.
search-fault-no-size = „{ $found }“ ist keine Größe.
search-fault-no-number = „{ $found }“ ist keine Zahl.
search-fault-no-age = „{ $found }“ ist keine Zeitspanne.
search-fault-no-address = „{ $found }“ ist weder eine Adresse noch der Anfang einer Adresse.
search-fault-no-package = „{ $found }“ ist kein Paket, mit oder ohne Version.
search-fault-not-comparable = „{ $found }“ lässt sich nicht mit größer oder kleiner vergleichen.
search-fault-open-quote = Ein Anführungszeichen wird nicht geschlossen.
search-fault-open-parenthesis = Eine Klammer wird nicht geschlossen.
search-fault-missing-test = Nach „{ $found }“ fehlt etwas.
search-fault-unexpected = „{ $found }“ kann hier nicht stehen.
search-fault-too-large = Die Suche ist zu lang oder zu tief verschachtelt.
list-name = Name
list-stage = Stand
list-activity = Tätigkeit
list-health = Zustand
list-group = Gruppen
list-os = System
list-distribution = Distribution
list-model = Modell
list-serial = Seriennummer
list-mac = MAC-Adressen
list-ip = IP-Adressen
list-memory = Arbeitsspeicher
list-disk = Größte Platte
list-threads = Threads
list-updates = Aktualisierungen
list-agent = Agent
list-seen = Zuletzt gemeldet
list-added = Angelegt
nav-groups = Gruppen
groups-none = Es gibt noch keine Gruppen.
groups-none-more = Eine Gruppe fasst Clients zusammen, namentlich oder durch eine Suche.
group-members = Mitglieder
group-named = namentlich
group-named-more = Die Mitglieder sind namentlich genannt. In der Liste der Clients nehmen Sie welche auf oder heraus.
group-description = Wofür
group-change = Ändern
group-change-one = Gruppe { $name } ändern
group-new = Neue Gruppe
group-query = Suche, die ihre Mitglieder findet
group-query-hint = Bleibt das Feld leer, werden die Mitglieder namentlich aufgenommen. Sonst gehört jeder Client dazu, auf den die Suche gerade zutrifft.
group-make = Gruppe anlegen
group-save = Speichern
group-show = Ihre Clients zeigen
group-delete = Gruppe löschen
group-delete-more = Die Gruppe verschwindet, ihre Clients bleiben.
event-group-changed = Gruppe geändert
event-batch-ordered = Sammelauftrag erteilt
event-client-woken = Geweckt
batches = Sammelaufträge
batches-none = Es gab noch keine Sammelaufträge.
batches-none-more = Wählen Sie in der Liste der Clients mehrere aus und dazu, was mit ihnen geschehen soll.
batch-for = Für
batch-chosen = ausgewählte
batch-all = { $count ->
    [one] den einen, auf den die Suche zutrifft
   *[other] alle { $count }, auf die die Suche zutrifft
}
batch-action = Auftrag
batch-preview = Vorschau
batch-choose = Auswahl
batch-choose-one = { $name } auswählen
batch-install = Installieren
batch-redo = Neu installieren
batch-reboot = Neu starten
batch-wake = Wecken (Wake on LAN)
batch-retire = Ausmustern
batch-rescue = Rettungssystem starten
batch-package-install = Pakete installieren
batch-package-remove = Pakete entfernen
batch-package-upgrade = Alle Pakete aktualisieren
batch-join-group = In eine Gruppe aufnehmen
batch-leave-group = Aus einer Gruppe nehmen
batch-what-install = Jeder wird so installiert, wie er eingerichtet ist. Seine Platten werden dabei überschrieben.
batch-what-redo = Jeder wird neu installiert und dazu neu gestartet. Seine Platten werden dabei überschrieben.
batch-what-reboot = Jeder wird durch seinen Agenten neu gestartet, sobald kein Job läuft.
batch-what-wake = An jeden geht ein Wecksignal durchs Netz.
batch-what-retire = Jeder verliert seine Identität, seine Jobs werden abgebrochen. Aufzeichnungen bleiben.
batch-what-rescue = Jeder startet beim nächsten Netzwerkstart das Rettungssystem.
batch-what-package-install = Jeder bekommt einen Job, der die Pakete installiert; wer nicht erreichbar ist, holt ihn nach.
batch-what-package-remove = Jeder bekommt einen Job, der die Pakete entfernt; wer nicht erreichbar ist, holt ihn nach.
batch-what-package-upgrade = Jeder bekommt einen Job, der alle Pakete aktualisiert; wer nicht erreichbar ist, holt ihn nach.
batch-what-join-group = Jeder gehört danach zur Gruppe.
batch-what-leave-group = Keiner gehört danach zur Gruppe.
batch-takes-packages = Pakete
batch-takes-group = Gruppe
batch-takes-keys = SSH-Schlüssel
batch-hint-packages = Mehrere durch Leerzeichen getrennt.
batch-hint-group = Kleinbuchstaben, Ziffern und Bindestriche. Fehlt die Gruppe, wird sie angelegt.
batch-hint-keys = Einer je Zeile.
batch-fitting = { $count ->
    [one] Für einen Client
   *[other] Für { $count } Clients
}
batch-more = und { $count } weitere
batch-nobody = Für keinen dieser Clients ergibt der Auftrag Sinn.
batch-back = Zurück zur Liste
batch-skipped = Ausgelassen
batch-skip-retired = ausgemustert
batch-skip-alarm = durch einen Alarm gesperrt
batch-skip-not-adopted = noch nicht übernommen
batch-skip-under-way = Installation oder Rettung läuft
batch-skip-never-installed = nie installiert
batch-skip-offline = nicht erreichbar
batch-skip-awake = schon wach
batch-skip-no-address = ohne MAC-Adresse
batch-skip-member-already = gehört schon dazu
batch-skip-no-member = gehört nicht dazu
batch-confirm = Zur Bestätigung tippen Sie die Zahl der Clients: { $count }
batch-mistyped = Das ist nicht die Zahl.
batch-go = { $count ->
    [one] Für einen Client ausführen
   *[other] Für { $count } Clients ausführen
}
batch-under-way = läuft
batch-finished = erledigt
batch-failed = { $count } fehlgeschlagen
batch-stop = Rest zurücknehmen
batch-lines = Nicht ausgeführt
batch-line-failed = fehlgeschlagen
batch-line-skipped = ausgelassen
batch-count-done = ausgeführt
batch-count-waiting = noch offen
batch-count-failed = fehlgeschlagen
batch-count-skipped = ausgelassen
concern-broken = Installation gescheitert
concern-stuck = Hängt
concern-offline = Nicht erreichbar
concern-alarm-what = gesperrt, bis jemand nachsieht
concern-broken-what = eine Installation kam nicht zu Ende
concern-stuck-what = wird installiert und schweigt seit über 15 Minuten
concern-failed-what = seit gestern
concern-held-what = Jobs warten auf Freigabe
concern-discovered-what = Rechner warten auf die Übernahme
concern-offline-what = der Agent schweigt
concern-all = { $count ->
    [one] einer
   *[other] alle { $count }
}
overview-days = Beendete Jobs, 14 Tage
overview-days-none = In den letzten 14 Tagen endete kein Job.
overview-days-told = { $count } Jobs in 14 Tagen, höchstens { $most } an einem Tag
overview-jobs = { $count ->
    [one] ein Job
   *[other] { $count } Jobs
}
overview-today = heute
overview-happened-none = Noch ist nichts geschehen.
