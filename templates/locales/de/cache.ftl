# Der Paketspeicher.
nav-package-cache = Paketspeicher
cache-what = Installationen und Clients beziehen ihre Pakete über diesen Server. Er holt jede Datei einmal, prüft sie gegen die signierten Verzeichnisse und behält sie. Gezählt wird seit dem Start des Servers.
cache-offline = offline
cache-offline-now = Kein Spiegelserver wird gefragt.
cache-offline-more = Clients bekommen, was hier liegt. Die Einstellung „Offline“ beendet das.
cache-removed = { $count ->
    [0] Es wurde nichts entfernt.
    [one] 1 Datei wurde entfernt.
   *[other] { $count } Dateien wurden entfernt.
  }
cache-of-limit = von höchstens { $limit }
cache-files = Dateien
cache-free = frei auf der Platte
cache-mirror-well = in Ordnung
cache-mirror-down = nicht erreichbar
cache-mirror-unfit = liefert falsche Dateien
cache-mirror-keyless = kein Schlüsselbund
cache-mirror-unasked = noch nicht gefragt
cache-since = seit
cache-signed = signiert
cache-counts = { $asked ->
    [one] 1 Anfrage, { $share } % aus dem Speicher
   *[other] { $asked } Anfragen, { $share } % aus dem Speicher
  }
cache-traffic = { $served } an Clients, { $fetched } vom Spiegelserver
cache-refused = { $count } nicht weitergegeben
cache-remedy-down = Prüfen Sie Netz und Proxy des Serverrechners, oder nennen Sie in `mirrors` einen anderen. Bis dahin bekommen Clients, was hier liegt.
cache-remedy-unfit = Versuchen Sie es in einigen Minuten erneut: Ein Spiegelserver mitten in einer Aktualisierung sieht genauso aus. Bleibt es dabei, nennen Sie in `mirrors` einen anderen. Kein Client hat davon eine ganze Datei bekommen.
cache-remedy-keyless = Installieren Sie den Schlüsselbund der Distribution auf dem Server, oder nennen Sie einen: `cache-keyrings = ["{ $name }=DATEI"]`. Bis dahin wird von diesem Spiegelserver nichts weitergegeben.
cache-stored = Was hier liegt
cache-shown = die zuletzt benutzten { $shown } von { $found }
cache-search = Spiegelserver oder Pfad
cache-none = Noch nichts
cache-none-more = Der erste Client, der etwas installiert, füllt ihn.
cache-none-found = Keine Datei enthält das im Namen.
cache-file = Datei
cache-used = Zuletzt benutzt
cache-nameless = seit dem Neustart nicht gefragt
cache-clean = Platz schaffen
cache-clean-what = Platz entsteht von selbst: Was am längsten nicht benutzt wurde, geht zuerst. Hier entfernen Sie mehr auf einmal; Clients, die es wieder brauchen, bekommen es vom Spiegelserver.
cache-clean-days = Seit so vielen Tagen nicht benutzt
cache-clean-hint = 0 entfernt alles, was gerade niemand liest.
cache-clean-now = Entfernen
event-mirror-unfit = Spiegelserver liefert falsche Dateien
event-mirror-down = Spiegelserver nicht erreichbar
event-mirror-back = Spiegelserver wieder da
event-cache-cleaned = Paketspeicher geleert
settings-cache = Paketspeicher
setting-cache-offline = Offline
setting-cache-offline-more = „ein“: Kein Spiegelserver wird gefragt; Clients bekommen, was im Paketspeicher liegt.
setting-cache-limit-gib = Größe in GiB
setting-cache-limit-gib-more = Wird der Paketspeicher größer, geht, was am längsten nicht benutzt wurde.
word-on = ein
word-off = aus
found-mirror-down = { $why }; Clients bekommen, was im Paketspeicher liegt
remedy-mirror-down = Prüfen Sie Netz und Proxy des Serverrechners, oder nennen Sie in `mirrors` einen anderen.
found-mirror-unfit = liefert falsche Dateien: { $path } { $why }
remedy-mirror-unfit = Versuchen Sie es in einigen Minuten erneut: Ein Spiegelserver mitten in einer Aktualisierung sieht genauso aus. Bleibt es dabei, nennen Sie in `mirrors` einen anderen.
found-mirror-keyless = nicht prüfbar: kein Schlüsselbund vorhanden, deshalb wird nichts weitergegeben
remedy-mirror-keyless = Installieren Sie den Schlüsselbund der Distribution auf dem Server, oder nennen Sie einen in `cache-keyrings`.
found-mirror-offline = wird nicht gefragt: Der Paketspeicher ist offline
remedy-mirror-offline = Stellen Sie „Offline“ des Paketspeichers auf „aus“, wenn der Spiegelserver wieder gefragt werden soll.
