# Paketzusammenstellungen, Auswahl und Vorschau von Paketen eines Clients, gemeinsam ausgeführte Jobs.

nav-selections = Zusammen­stellungen
search-field-selection = eine Paketzusammenstellung, die er durch seine Gruppen hat
search-field-drift = weicht von seinen Zusammenstellungen ab: yes oder no

selections-none = Noch keine Zusammenstellungen
selections-none-more = Eine Zusammenstellung nennt Pakete, die auf Clients sein sollen, und solche, die es nicht sollen. Geben Sie sie einer Gruppe, und jedes Mitglied erhält sie.
selection-new = Neue Zusammenstellung
selection-make = Zusammenstellung anlegen
selection-import = Importieren
selection-yaml = Text der Datei
selection-import-more = Wie hier exportiert. Eine gleichen Namens erhält ihren nächsten Stand.
selection-import-do = Importieren
selection-export = Exportieren
selection-order = Reihenfolge
selection-order-hint = Kleinere zuerst, wenn ein Client mehrere hat
selection-install = Zu installierende Pakete
selection-install-hint = Je Zeile eines, wenn gewünscht mit =Version
selection-remove = Zu entfernende Pakete
selection-purge = Mit der Konfiguration entfernen
selection-answers = Antworten auf Fragen von Paketen
selection-answers-hint = Je Zeile eine: Paket Frage Typ Antwort. Die Antwort eines Kennworts ist secret:NAME.
selection-contents = Inhalt
selection-save = Als nächsten Stand speichern
selection-change-more = Clients, die sie haben, ändert das nicht: sie weichen von da an ab und werden auf Wunsch angeglichen.
selection-revision = Stand { $number }
selection-revisions = Stände
selection-drifting = Abweichende Clients
selection-differs = Weicht ab bei
selection-no-drift = Von keinem Client ist eine Abweichung bekannt
selection-unknown = Unbekannt
selection-unknown-more = Ihre Agenten haben noch keine Pakete gemeldet
selection-show-clients = anzeigen
selection-show-drifting = in der Liste der Clients anzeigen
selection-repair = Angleichen
selection-repair-many = Viele auf einmal: Wählen Sie die Clients in der Liste und gleichen Sie sie an { $name } an, oder starten Sie damit ein Rollout.
selection-groups-more = Jedes Mitglied erhält den Job für diese Zusammenstellung einmal; ebenso, wer später dazukommt oder in die Gruppe installiert wird. Verlässt ein Client die Gruppe, wird nichts entfernt.
selection-groups-none = Keine Gruppe hat sie.
selection-attach = Einer Gruppe geben
selection-attach-do = Geben
selection-detach = wegnehmen
selection-delete = Zusammenstellung entfernen
selection-delete-more = Was auf Clients installiert ist, bleibt.
selections-of-client = Zusammenstellungen
selections-of-client-as = wie gewünscht
drift-missing = { $package } fehlt
drift-other-version = { $package }: vorhanden ist { $present }
drift-held-back = { $package } wird bei { $present } festgehalten
drift-unwanted = { $package } { $present } soll nicht da sein
compare-selection = Mit einer Zusammenstellung
compare-selection-name = Zusammenstellung
compare-selection-as = { $client } ist, wie { $selection } es will
compare-selection-differs = { $client } weicht von { $selection } ab

event-selection-created = Zusammenstellung angelegt
event-selection-changed = Zusammenstellung geändert
event-selection-deleted = Zusammenstellung entfernt
event-selection-attached = Zusammenstellung einer Gruppe gegeben
event-selection-detached = Zusammenstellung einer Gruppe weggenommen

job-joined = Gemeinsam ausgeführt
job-joined-to = Im Lauf von Job
job-joined-with = Zusammen mit den Jobs

package-change = Pakete auswählen
package-change-title = Pakete für { $name } auswählen
package-change-found = Pakete
package-change-search-first = Suchen Sie nach einem Namen, oder wählen Sie „Mit Aktualisierung“.
package-change-as = Mit den angekreuzten:
package-change-update = Aktualisieren
package-change-remove = Entfernen
package-change-hold = Festhalten
package-change-unhold = Freigeben
package-change-pin = Auf diese Version festlegen
package-change-pick = { $name } auswählen
package-change-chosen = Ausgewählt
package-change-install = Zu installieren oder zu aktualisieren
package-change-install-hint = Namen mit Leerzeichen dazwischen; Name=Version bringt genau diese Version, auch eine ältere
package-change-to-remove = Zu entfernen
package-change-to-hold = Bei ihrer Version festzuhalten
package-change-to-unhold = Freizugeben
package-change-allowed = Erlaubt
package-change-removals = Andere Pakete dürfen entfernt werden
package-change-downgrades = Ältere Versionen dürfen kommen
package-change-held = Festgehaltene Pakete dürfen geändert werden
package-change-preview = Vorschau
package-change-preview-more = Noch ändert sich nichts: die Paketverwaltung des Clients sagt, was sie tun würde.
package-preview-title = Vorschau für { $name }
package-preview-waits = Der Client hat noch nicht geantwortet
package-preview-look = Erneut nachsehen
package-preview-failed = Die Paketverwaltung lehnt das ab
package-preview-nothing = Es würde sich nichts ändern
package-preview-count = { $count ->
    [one] 1 Änderung
   *[other] { $count } Änderungen
}
package-preview-sizes = { $fetched } herunterzuladen
package-preview-more-disk = { $size } mehr auf der Platte
package-preview-less-disk = { $size } weniger auf der Platte
package-preview-change = Änderung
package-preview-before = Vorher
package-preview-after = Nachher
package-preview-install = installieren
package-preview-upgrade = aktualisieren
package-preview-downgrade = ältere Version
package-preview-reinstall = erneut installieren
package-preview-remove = entfernen
package-preview-purge = mit Konfiguration entfernen
package-preview-unknown = anderes
package-preview-needed = von anderen benötigt
package-preview-unasked = nicht verlangt
package-preview-allow-removals = Ja, auch diese entfernen: { $names }
package-preview-allow-downgrades = Ja, auf ältere Versionen zurück: { $names }
package-preview-accept = Genau das ausführen
package-preview-accept-more = Würde der Client dann etwas anderes ändern, ändert er nichts.
package-preview-back = Auswahl ändern
package-preview-job = Job

action-selection-create = Zusammenstellung angelegt
action-selection-change = Zusammenstellung geändert
action-selection-delete = Zusammenstellung entfernt
action-selection-attach = Zusammenstellung einer Gruppe gegeben
action-selection-detach = Zusammenstellung einer Gruppe weggenommen

batch-apply-selection = An eine Paketzusammenstellung angleichen
batch-what-apply-selection = Jeder bekommt einen Job, der die Zusammenstellung anwendet; wer nicht erreichbar ist, holt ihn nach.
batch-takes-selection = Zusammenstellung
batch-hint-selection = Ihr Name.
