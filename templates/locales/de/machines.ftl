# Rechner, die dazukommen, und was mit ihnen geschieht.

nav-discovered = Neue Rechner
nav-jobs = Jobs
edit = Bearbeiten
save = Speichern
delete = Löschen
done = Fertig
choose = Auswählen
actions = Aktionen
client = Client
by = Von
older = Ältere
answers = Die drei Antworten
stage-registered-what = Bekannt, aber noch nie gestartet.
stage-discovered-what = Hat sich gemeldet; seine Hardware ist bekannt.
stage-installing-what = Eine Installation ist im Gang.
stage-installing-last = Alle Jobs waren erfolgreich. Der Rechner startet jetzt sein neues System und meldet sich gleich.
stage-installed-what = Sein System läuft mit unserem Agenten.
stage-retired-what = Außer Dienst; die Aufzeichnungen bleiben.
seen-never = Hat sich noch nie gemeldet.
waits = Wartet
waits-held = Angehalten: { $text }
waits-alarm = Ein Alarm hält alles an: { $text }
waits-needs = Wartet auf Job { $job } ({ $type }): { $state ->
    [held] der ist angehalten
    [queued] der wartet selbst noch
    [running] der läuft
    [failed] der ist fehlgeschlagen
    [cancelled] der wurde abgebrochen
   *[expired] der ist verfallen
}
waits-running = Wartet auf Job { $job } ({ $type }), der gerade läuft
waits-until = Wartet bis { $at }
waits-before = Wartet auf Job { $job } ({ $type }), der vorher kommt
waits-never-seen = Der Rechner hat sich noch nie gemeldet: Schalten Sie ihn ein und lassen Sie ihn über das Netzwerk starten
waits-offline = Der Rechner ist nicht erreichbar seit { $at }
waits-installer = Wartet auf das Installationssystem. Startet der Rechner nicht schon von selbst neu, starten Sie ihn über das Netzwerk
waits-system = Wartet, bis das installierte System gestartet ist
waits-next-poll = Geht gleich an den Agenten
waits-told = { $text }
expect-nothing = eine DHCP-Anfrage oder ein Startprogramm
expect-nothing-cause = Der Rechner ist aus, startet zuerst von einem anderen Gerät, oder sein Netzwerkanschluss erreicht diesen Server nicht.
expect-nothing-remedy = Schalten Sie den Rechner ein und stellen Sie den Netzwerkstart (PXE) an die erste Stelle; prüfen Sie Kabel, VLAN und, in einem anderen Netz, das DHCP-Relay.
expect-dhcp = das Startprogramm über TFTP
expect-dhcp-cause = TFTP erreicht den Server nicht, oder die DHCP-Antwort nennt einen anderen Server.
expect-dhcp-remedy = Öffnen Sie UDP-Port 69 zwischen Rechner und Server; suchen Sie nach einem zweiten DHCP-Server, der eine Startdatei nennt.
expect-tftp = das Startprogramm fragt nach seinem Skript
expect-tftp-cause = Dem Startprogramm fehlt der Treiber für die Netzwerkkarte, Secure Boot hat es abgelehnt, oder der HTTP-Port ist gesperrt.
expect-tftp-remedy = Sehen Sie auf den Bildschirm des Rechners; mit Secure Boot: lotse pxe dnsmasq --secure-boot; öffnen Sie den HTTP-Port des Servers.
expect-script = der Kernel
expect-script-cause = Der Rechner sollte von seiner Platte starten, oder die Übertragung brach ab.
expect-script-remedy = Soll er installiert werden, ordnen Sie die Installation an und starten Sie ihn neu.
expect-kernel = das Initramfs
expect-kernel-cause = Die Übertragung brach ab.
expect-kernel-remedy = Starten Sie den Rechner neu; prüfen Sie, ob das Netz Pakete verliert.
expect-initramfs = der Agent holt das Zertifikat des Servers
expect-initramfs-cause = Dem Kernel fehlt der Treiber für die Netzwerkkarte, der Rechner hat weniger als 1 GiB Speicher, oder der Agent bekommt keine Adresse.
expect-initramfs-remedy = Sehen Sie auf den Bildschirm des Rechners: Das Installationssystem sagt dort, worauf es wartet.
expect-searched = der Agent meldet den Rechner
expect-searched-cause = Der Agent vertraut diesem Server nicht (andere CA), oder HTTPS ist gesperrt.
expect-searched-remedy = Vergleichen Sie den Fingerabdruck der CA auf dem Bildschirm mit lotse ca; öffnen Sie die HTTPS-Ports des Servers.
expect-trust = der Agent meldet den Rechner
expect-trust-cause = Der Agent vertraut diesem Server nicht (andere CA), oder HTTPS ist gesperrt.
expect-trust-remedy = Vergleichen Sie den Fingerabdruck der CA auf dem Bildschirm mit lotse ca; öffnen Sie die HTTPS-Ports des Servers.
expect-announced = die Übernahme durch einen Administrator
expect-announced-cause = Noch hat ihn niemand übernommen.
expect-announced-remedy = Vergleichen Sie den Fingerabdruck auf dem Bildschirm und klicken Sie auf Übernehmen.
expect-adopted = der Agent holt seine Identität
expect-adopted-cause = Der Rechner wurde ausgeschaltet, bevor er übernommen war, oder HTTPS ist gesperrt.
expect-adopted-remedy = Sehen Sie auf den Bildschirm des Rechners und starten Sie ihn über das Netzwerk neu.
expect-enrolled = der Agent fragt nach Arbeit
expect-enrolled-cause = Der Agent erreicht den Port für Agenten nicht.
expect-enrolled-remedy = Öffnen Sie den Port für Agenten zwischen Rechner und Server.
expect-refused = ein neuer Start des Rechners
expect-refused-cause = { $cause }
expect-refused-remedy = Die Zeile darüber sagt, woran es lag; danach starten Sie den Rechner neu.

jobs-all = Alle Jobs dieses Clients
jobs-show-all = Alle Jobs zeigen
jobs-none-match = Kein Job passt.
client-unknown = Einen Client { $name } gibt es nicht.
job-type = Art
cause = Ursache enthält
job-accept = Freigeben
job-hold = Anhalten
job-cancel = Abbrechen
job-retry = Wiederholen
job-release = Rettung beenden
job-plan = Schritte
job-about = Über diesen Job
job-destructive = Dieser Job zerstört Daten; der Plan sagt, welche.
step-script = Skript ansehen
step-done = erledigt
step-now = läuft gerade
step-failed = fehlgeschlagen
finished = Beendet
needs = Setzt voraus
params = Parameter
attempts = Versuche
attempts-none = Noch kein Versuch.
attempt = Versuch { $number }
attempt-running = läuft
attempt-succeeded = erfolgreich
attempt-failed = fehlgeschlagen
attempt-refused = nicht begonnen
attempt-cancelled = abgebrochen
attempt-lost = verloren: vom Rechner kam nichts mehr
history = Verlauf
history-none = Es ist noch nichts geschehen.

measured = Erfasst
reboot-wanted = Das System will neu gestartet werden.
card = Netzwerkkarte { $name }
card-linked = Kabel steckt
card-unlinked = kein Kabel
card-booted = von hier gestartet
disks-none = Der Rechner hat keine Platte.
disk-blank = Die Platte ist leer.
file-system = Dateisystem
file-system-size = Größe
file-system-free = Frei
file-system-used = Belegt
users = Benutzer
packages = Pakete
packages-names = Paketnamen, mit Leerzeichen dazwischen
packages-install = Installieren
packages-remove = Entfernen
packages-upgrade = Alles aktualisieren
notes = Notizen
notes-none = Noch keine Notiz.
note-new = Neue Notiz
note-add = Notiz speichern
note-delete = löschen
danger = Eingriffe
danger-what = Jeder Eingriff zeigt zuerst, was er tut.
order-jobs = Diese Jobs werden eingereiht
order-restart = Neu starten
order-restart-what = Der Agent startet den Rechner neu. Wer daran arbeitet, verliert Ungespeichertes.
order-redo = Neu installieren
order-redo-what = { $name } wird wie beim ersten Mal installiert; was auf seinen Platten ist, geht verloren.
order-recover = Wiederherstellen
order-recover-what = { $name } wird neu installiert; danach läuft noch einmal, was seither erfolgreich war, etwa installierte Pakete. Daten der Benutzer kommen dadurch nicht zurück.
order-rescue = Rettungssystem
order-rescue-what = Beim nächsten Start über das Netzwerk öffnet { $name } SSH für Ihre Schlüssel. Die Platten bleiben unberührt.
order-release = Rettung beenden
order-release-what = { $name } verlässt das Rettungssystem und arbeitet weiter.
order-wipe = Platte löschen
order-wipe-what = Eine Platte von { $name } wird gelöscht. Das lässt sich nicht zurücknehmen.
order-reset = Zurücksetzen
order-reset-what = Alles, was für { $name } wartet oder läuft, wird abgebrochen; danach kann er von vorn beginnen. Die Platten bleiben, wie sie sind.
order-retire = Ausmustern
order-retire-what = Der Agent von { $name } wird nicht mehr eingelassen, seine Jobs werden abgebrochen. Die Aufzeichnungen bleiben; er lässt sich wieder in Dienst stellen.
order-reinstate = Wieder in Dienst stellen
order-reinstate-what = { $name } bekommt beim nächsten Start eine neue Identität.
order-clear-alarm = Alarm aufheben
order-clear-alarm-what = Nur wenn geklärt ist, wie es dazu kam. { $name } darf danach wieder arbeiten; starten Sie ihn neu.
order-enrol = Vorhandenes System aufnehmen
order-enrol-what = Für ein System, das schon installiert ist: Sie bekommen einen Befehl, der es als { $name } aufnimmt. Er gilt einmal und eine Stunde lang.
order-user-data = User-Data für eine Cloud
order-user-data-what = Für einen Rechner in einer Cloud: Sie bekommen den Text, mit dem er diesen Server findet und zu { $name } wird. Er lässt einen Rechner herein, einen Tag lang.
shown-user-data = Die User-Data
shown-user-data-what = Geben Sie den Text der Cloud, wie er ist, weder kodiert noch verpackt. Er enthält ein Token und wird nur jetzt gezeigt.
order-delete = Client löschen
order-delete-what = { $name } wird mit seinen Jobs, Notizen und seinem Verlauf gelöscht. Der Rechner selbst bleibt, wie er ist.
shown-enrol = Der Befehl
shown-enrol-what = Führen Sie ihn auf dem Rechner als root aus. Das Paket des Agenten muss dort installiert sein. Er wird nur jetzt gezeigt.
rescue-keys = Öffentliche SSH-Schlüssel, einer je Zeile
rescue-keys-hint = Sie finden Ihren meist in ~/.ssh/id_ed25519.pub.
wipe-disk = Platte
wipe-unknown = Die Platten sind noch nicht bekannt: Seriennummer oder Gerätedatei.
wipe-method = Wie gründlich
wipe-signatures = Tabelle und Kennungen (Sekunden)
wipe-discard = Alles verwerfen (SSD)
wipe-zero = Alles mit Nullen überschreiben (Stunden)

add-title = Client anlegen
add-install = Anlegen und installieren
add-enrol = Anlegen; System ist schon installiert
add-how = Der Rechner startet über das Netzwerk oder von der Lotse-ISO. Ist sein System schon installiert, bekommen Sie stattdessen einen Befehl zum Aufnehmen.
edit-title = { $name } bearbeiten
edit-what = Gilt ab der nächsten Installation; Name und Gruppen gelten sofort.
mac = Hardwareadresse
mac-hint = Steht auf dem Gerät oder im BIOS, etwa 52:54:00:12:34:56.
password-hint = Mindestens 8 Zeichen. Ohne Passwort ist die Anmeldung nur mit SSH-Schlüssel möglich.
password-stays = Leer lassen, damit es bleibt, wie es ist.
form-faults = { $count ->
    [one] Eine Angabe stimmt noch nicht.
   *[other] { $count } Angaben stimmen noch nicht.
}
part-language = Sprache und Zeit
part-users = Benutzer und Anmeldung
part-more = Weiteres
ntp-hint = Leer: die der Distribution.
network-how = Adresse
network-dhcp = automatisch (DHCP)
network-static = fest
address = Feste Adresse
gateway = Gateway
nameservers = DNS-Server
full-name = Voller Name des Benutzers
directory-uris = LDAP-Server
directory-base = LDAP-Basis
directory-schema = LDAP-Schema
directory-ca = Zertifikat der LDAP-CA (PEM)
home-export = Heimatverzeichnisse (NFS)
home-options = NFS-Optionen
machine-desktop = Desktop
machine-desktop-none = Keiner
machine-desktop-use = Benutzung
machine-desktop-screen = Vor dem Bildschirm
printers = Drucker, einer je Zeile
printers-hint = Name und Adresse, etwa: flur ipp://10.0.0.9/ipp/print
base-how = Grundsystem
base-image = fertiges Abbild (schnell)
base-debootstrap = aus Paketen
preset = Vorlage
preset-none = ohne Vorlage
preset-take = Übernehmen
preset-keep = Diese Werte als Vorlage behalten
preset-name = Name der Vorlage
preset-save = Als Vorlage speichern
preset-kept = Die Vorlage { $name } ist gespeichert.
preset-delete = Vorlage { $name } löschen
as-preset = wie in der Vorlage
fault-compared = Vergleichen Sie zuerst den Fingerabdruck.
fault-mac = Eine Hardwareadresse wird gebraucht, etwa 52:54:00:12:34:56.
fault-locale = Sprache und Region wie de_DE.UTF-8.
fault-keyboard = Tastaturbelegung wie de.
fault-timezone = Zeitzone wie Europe/Berlin.
fault-domain = DNS-Domäne wie schule.example.
fault-proxy = Adresse wie http://proxy:3128, ohne Passwort.
fault-ntp = Rechnername oder Adresse.
fault-nameservers = Adressen wie 10.0.0.1.
fault-purchased-on = Ein Datum wie 2024-09-30.
purchased-on = Gekauft am
fault-serial-console = Konsole wie ttyS0,115200.
fault-ssh-keys = Je Zeile ein öffentlicher Schlüssel, etwa ssh-ed25519 AAAA… name.
fault-full-name = Darf keines der Zeichen : , ' \ enthalten.
fault-directory-uris = Adresse wie ldap://ldap.schule.example.
fault-directory-base = Name wie dc=schule,dc=example.
fault-directory-ca = Ein Zertifikat als PEM, mit seinen Zeilen BEGIN und END.
fault-home-export = SERVER:/PFAD, etwa files.schule.example:/export/home.
fault-home-options = Optionen wie vers=4.2,sec=sys.
fault-printers = Je Zeile ein Name und eine Adresse, etwa flur ipp://10.0.0.9/ipp/print.
fault-rule-serial = Seriennummer, Hardwareadresse, Netz oder Modell: Mindestens eines wird gebraucht.
fault-rule-mac = Anfang einer Hardwareadresse, etwa 52:54:00.
fault-rule-subnet = Netz wie 10.0.3.0/24.
fault-rule-names = Muster wie pc-{"{"}001..{"}"}, lab-{"{"}serial{"}"} oder lab-{"{"}mac{"}"}.
fault-rule-name = Kleinbuchstaben, Ziffern und Bindestriche.
fault-rule-wipe = Hat nur zusammen mit „sofort installieren“ einen Sinn.

discovered-none = Gerade wartet kein Rechner.
discovered-none-more = Schalten Sie einen Rechner mit Netzwerkstart (PXE) ein: Er erscheint hier von selbst.
discovered-orders = Abgewiesene kommen nicht wieder; vergessene melden sich beim nächsten Start erneut.
fingerprint-short = Fingerabdruck
serial = Seriennummer
model = Modell
adopt-chosen = Ausgewählte übernehmen und installieren
discovered-refuse = Abweisen
forget = Vergessen
strangers = Unterwegs, aber noch nicht angekommen
strangers-what = Diese Adressen haben etwas vom Server geholt und sich noch nicht gemeldet.
rules = Regeln
rules-what = Ein Rechner, der sich meldet, wird nach der ersten passenden Regel übernommen, ohne dass jemand seinen Fingerabdruck vergleicht. Wer im selben Netz eine passende Seriennummer oder Adresse vortäuscht, würde also eingelassen.
rules-none = Es gibt noch keine Regel.
rules-none-more = Mit einer Regel brauchen Sie neue Rechner nur noch einzuschalten.
rules-hits = Das geschähe mit den Rechnern, die jetzt warten
rules-follow = Regeln jetzt anwenden
rule-fits = Regel { $rule } passt
rule-fits-which = Für welche Rechner
rule-becomes = Was aus ihnen wird
rule-does = Was geschieht
rule-adopts = übernehmen
rule-installs = übernehmen und installieren
rule-wipes = installieren, auch wenn Daten verloren gehen
rule-new = Neue Regel
rule-change = Regel { $name } ändern
rule-name = Name der Regel
rule-name-hint = Kleinbuchstaben, Ziffern und Bindestriche.
rule-position = Reihenfolge
rule-position-hint = Kleinere Zahlen zuerst.
rule-mac = Anfang der Hardwareadresse
rule-install = Sofort installieren, wenn die Platten leer sind
rule-wipe = Auch installieren, wenn etwas auf den Platten ist: Es wird gelöscht, ohne dass jemand gefragt wird

mass-title = Mehrere installieren
mass-what = Einfügen, prüfen, loslegen: Nichts beginnt, bevor jede Zeile stimmt.
mass-sheet = Tabelle
mass-sheet-hint = Aus einer Tabellenkalkulation kopiert oder als CSV. Erste Zeile: name, mac, serial, address, gateway, groups, distribution, layout, user, full_name, password; deutsche Namen wie Rechner, Raum, Benutzer gehen auch.
mass-file = Oder als Datei
mass-gaps = Was in der Tabelle fehlt
mass-values = Übrige Werte
mass-values-usual = die üblichen
mass-values-keep = was schon bekannt ist, bleibt
mass-names = Namen nach Muster
mass-names-hint = pc-{"{"}001..{"}"} zählt weiter; auch lab-{"{"}serial{"}"} und lab-{"{"}mac{"}"}.
mass-addresses = Feste Adressen aus
mass-addresses-hint = 10.0.0.10-10.0.0.99/24; leer: DHCP. Benutzte werden ausgelassen.
mass-passwords = Passwörter erzeugen; sie werden danach einmal gezeigt
mass-install = Installieren (sonst nur anlegen oder übernehmen)
mass-check = Prüfen und ansehen
mass-again = Noch einmal prüfen
mass-back = Zurück zur Tabelle
mass-ready = { $count ->
    [one] Ein Rechner ist bereit.
   *[other] Alle { $count } Rechner sind bereit.
}
mass-wrong = { $count ->
    [0] Etwas stimmt noch nicht.
    [one] In einer Zeile stimmt etwas noch nicht.
   *[other] In { $count } Zeilen stimmt etwas noch nicht.
}
mass-wrong-remedy = Ändern Sie es hier und prüfen Sie noch einmal. Bis dahin beginnt nichts.
mass-wipe = { $count ->
    [0] Platten dürfen gelöscht werden, auch wenn etwas darauf ist.
    [one] Auf den Platten eines Rechners ist etwas. Ich bin einverstanden, dass es gelöscht wird.
   *[other] Auf den Platten von { $count } Rechnern ist etwas. Ich bin einverstanden, dass es gelöscht wird.
}
mass-trusted = Diese Rechner sind meine: Ich habe ihre Fingerabdrücke verglichen oder vertraue dem Netz.
mass-start = { $count ->
    [one] Diesen Rechner installieren
   *[other] Alle { $count } installieren
}
mass-register = { $count ->
    [one] Diesen Rechner anlegen
   *[other] Alle { $count } anlegen
}
mass-does = Was geschieht
mass-work-adopt = wird übernommen
mass-work-change = wird geändert
mass-work-under-way = Installation läuft schon
mass-unknown = Noch nicht gesehen: Die Platten werden geplant, wenn er erscheint.
mass-jobs = { $count } Jobs
mass-done = { $count ->
    [one] Ein Rechner ist begonnen.
   *[other] { $count } Rechner sind begonnen.
}
mass-passwords-once = Die Passwörter stehen nur hier: Drucken oder speichern Sie diese Seite jetzt.
mass-watch = Bei der Installation zusehen
mass-column-name = Name
mass-column-mac = Hardwareadresse
mass-column-serial = Seriennummer
mass-column-address = Adresse
mass-column-gateway = Gateway
mass-column-groups = Gruppen
mass-column-distribution = Distribution
mass-column-layout = Speicherlayout
mass-column-user = Benutzer
mass-column-full-name = Voller Name
mass-column-password = Passwort
mass-column-fingerprint = Fingerabdruck
mass-work-register = wird angelegt
event-client-noted = Notiz
event-client-note-deleted = Notiz gelöscht
event-client-mass-installation = Mehrere Rechner begonnen
event-client-retired = Ausgemustert
event-client-reinstated = Wieder in Dienst
event-client-boot = Gestartet
event-preset-changed = Vorlage geändert
event-preset-deleted = Vorlage gelöscht
event-rule-changed = Regel geändert
event-rule-deleted = Regel gelöscht
event-rule-failed = Regel nicht befolgt
event-rule-held-back = Nicht von selbst installiert
event-rule-followed = Regel befolgt
