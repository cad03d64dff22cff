# Rollouts: dieselbe Arbeit für viele Clients, in Wellen.

nav-rollouts = Rollouts
rollout-new = Neuer Rollout
rollouts-none = Es gibt noch keinen Rollout.
rollouts-none-more = Ein Rollout gibt vielen Clients dieselbe Arbeit, in Wellen, und hält von selbst an, wenn etwas schiefgeht.
rollout-reinstall = Neu installieren
rollout-failed = { $count } fehlgeschlagen
rollout-progress = { $done } von { $all } gelungen
rollout-state-planned = geplant
rollout-state-running = läuft
rollout-state-paused = pausiert
rollout-state-halted = angehalten
rollout-state-finished = beendet
rollout-state-cancelled = abgebrochen
rollout-client-waiting = warten
rollout-client-held = zurückgehalten
rollout-client-queued = eingereiht
rollout-client-running = arbeiten
rollout-client-succeeded = gelungen
rollout-client-failed = fehlgeschlagen
rollout-client-offline-expired = zu lange offline
rollout-client-skipped = ausgelassen
rollout-client-cancelled = abgebrochen
rollout-why-failed = { $wave ->
    [0] Insgesamt
   *[other] In Welle { $wave }
} { $count ->
    [1] ist ein Client von { $of }
   *[other] sind { $count } von { $of } Clients
} fehlgeschlagen; erlaubt sind höchstens { $limit }.
rollout-why-failed-percent = { $wave ->
    [0] Insgesamt
   *[other] In Welle { $wave }
} { $count ->
    [1] ist ein Client von { $of }
   *[other] sind { $count } von { $of } Clients
} fehlgeschlagen; erlaubt sind höchstens { $limit } %.
rollout-why-few = { $wave ->
    [0] Insgesamt
   *[other] In Welle { $wave }
} ist es nur auf { $count } von { $of } Clients gelungen.
rollout-why-nobody = In Welle { $wave } ist es auf keinem der { $of } Clients gelungen; sie beweist also nichts.
rollout-why-pause = Welle { $wave } beginnt erst, wenn jemand den Rollout fortsetzt.
rollout-why-person = Veranlasst von { $actor }.
rollout-halted = Dieser Rollout wurde angehalten
rollout-halted-what = Was läuft, endet von selbst; nichts Neues beginnt. Sehen Sie unten nach den Ursachen: Danach können Sie das Fehlgeschlagene wiederholen oder den Rollout fortsetzen.
rollout-paused-what = Was läuft, endet von selbst; nichts Neues beginnt, bis jemand den Rollout fortsetzt.
rollout-doing-planned = Noch hat ihn niemand gestartet.
rollout-doing-working = { $count ->
    [one] Ein Client ist an der Arbeit.
   *[other] { $count } Clients sind an der Arbeit.
}
rollout-doing-window = Wartet auf sein Zeitfenster; es öffnet { $at }.
rollout-doing-window-far = Wartet auf sein Zeitfenster; es öffnet in nächster Zeit nicht.
rollout-doing-soaking = Welle { $count } wird beobachtet bis { $at }.
rollout-doing-offline = { $count ->
    [0] Gleich geht es weiter.
    [one] Wartet auf einen Client, der offline ist.
   *[other] Wartet auf { $count } Clients, die offline sind.
}
rollout-order-start = Starten
rollout-order-pause = Pausieren
rollout-order-resume = Fortsetzen
rollout-order-halt = Anhalten
rollout-order-cancel = Abbrechen
rollout-order-retry = Fehlgeschlagene wiederholen
rollout-waves = Wellen
rollout-wave = Welle { $number }
rollout-wave-number = Welle
rollout-wave-late = Nachzügler
rollout-wave-goes = läuft
rollout-wave-done = fertig
rollout-wave-soaks = wird beobachtet
rollout-wave-waits = wartet
rollout-wave-stands = steht
rollout-wave-pause = Hier hält der Rollout, bis jemand ihn fortsetzt
rollout-wave-soaks-until = Die nächste Welle beginnt frühestens { $at }.
rollout-causes = Warum es fehlschlug
rollout-rules = Regeln
rollout-at-once = Höchstens gleichzeitig
rollout-windows = Zeitfenster
rollout-blackouts = Sperrzeiten
rollout-always = jederzeit
rollout-calendar = nach Kalender
rollout-history = Verlauf
rollout-history-created = Angelegt
rollout-history-started = Gestartet
rollout-history-wave = Welle { $wave } begonnen: { $count ->
    [one] ein Client
   *[other] { $count } Clients
}
rollout-history-settled = Welle { $wave } ist gut genug: { $count ->
    [one] auf einem Client
   *[other] auf { $count } Clients
} gelungen
rollout-history-paused = Pausiert
rollout-history-resumed = Fortgesetzt
rollout-history-halted = Angehalten
rollout-history-retried = { $count ->
    [one] Ein Client wird wiederholt
   *[other] { $count } Clients werden wiederholt
}
rollout-history-finished = Beendet
rollout-history-cancelled = Abgebrochen
rollout-history-latecomers = { $count ->
    [one] Ein Nachzügler
   *[other] { $count } Nachzügler
} in Welle { $wave }
rollout-clients = Clients des Rollouts
rollout-clients-none = Kein Client ist in diesem Zustand.
rollout-all-states = alle
rollout-show = Anzeigen
rollout-more = Weitere
rollout-output = Ausgabe
rollout-job = Job { $number }
rollout-for-group = für die Gruppe
rollout-for-query = für die Suche
rollout-schedules = Wiederkehrende Rollouts
rollout-schedule-on = eingeschaltet
rollout-schedule-off = ausgeschaltet
rollout-schedule-now = läuft jetzt
rollout-switch-on = Einschalten
rollout-switch-off = Ausschalten
rollout-next = nächstes Mal
rollout-newest = letzter Rollout
rollout-what = Was
rollout-title = Name
rollout-job-type = Job
rollout-params = Parameter
rollout-params-hint = NAME=WERT, einer je Zeile, etwa packages=firefox-esr
rollout-job-add = Danach noch ein Job
rollout-job-earlier = Früher
rollout-job-earlier-one = Früher: Job { $number }
rollout-job-without = Ohne ihn
rollout-job-without-one = Ohne ihn: Job { $number }
rollout-params-of-jobs = Welche Parameter die Jobs nehmen
rollout-whom = Für wen
rollout-group = Gruppe
rollout-query = Oder eine Suche
rollout-names = Oder Namen
rollout-names-hint = Die ersten kommen zuerst an die Reihe.
rollout-latecomers = Wer später dazukommt
rollout-late-ignore = wird nicht beachtet
rollout-late-last-wave = kommt in die letzte Welle
rollout-late-new-wave = bekommt eine eigene Welle
rollout-how = Wie vorsichtig
rollout-waves-hint = Eine je Zeile: 1, 10%, rest. Mit Beobachtungszeit: 10%/1h. Mit Halt davor: 10%/1h/pause.
rollout-max-failed-percent = Hält an, wenn mehr als so viel Prozent fehlschlagen
rollout-max-failed = Hält an, wenn in einer Welle mehr als so viele fehlschlagen
rollout-min-succeeded = So viel Prozent einer Welle müssen gelingen
rollout-min-succeeded-hint = Dann geht es ohne die weiter, die noch offline sind.
rollout-windows-hint = Eines je Zeile: sun 02:00-05:00 oder mon-fri 20:00-06:00. Leer: jederzeit.
rollout-recurring = In jedem Zeitfenster von Neuem, je Client höchstens einmal
rollout-expire-after = Wer so lange offline bleibt, wird aufgegeben
rollout-closed-calendar = Kalender mit Sperrzeiten (iCalendar)
rollout-approve-start = Ein Zweiter muss den Start freigeben
rollout-approve-pauses = Ein Zweiter muss das Fortsetzen an einem Halt freigeben
rollout-show-first = Erst ansehen
rollout-preview = { $count ->
    [one] Ein Client
   *[other] { $count } Clients
}
rollout-preview-offline = { $count } davon sind jetzt offline
rollout-destroys = Das löscht Daten auf diesen Rechnern.
rollout-left-out = Ausgelassen: { $count }.
rollout-needs-approval = Den Start muss ein Zweiter freigeben.
rollout-start-now = { $count ->
    [one] Für einen Client starten
   *[other] Für { $count } Clients starten
}
rollout-make = Nur anlegen
rollout-schedule-make = Wiederkehrend anlegen
event-rollout-created = Rollout angelegt
event-rollout-started = Rollout gestartet
event-rollout-paused = Rollout pausiert
event-rollout-resumed = Rollout fortgesetzt
event-rollout-halted = Rollout angehalten
event-rollout-retried = Rollout wiederholt Fehlgeschlagenes
event-rollout-finished = Rollout beendet
event-rollout-cancelled = Rollout abgebrochen
event-rollout-scheduled = Wiederkehrender Rollout angelegt
event-rollout-unscheduled = Wiederkehrender Rollout gelöscht
event-rollout-schedule-on = Wiederkehrender Rollout eingeschaltet
event-rollout-schedule-off = Wiederkehrender Rollout ausgeschaltet
