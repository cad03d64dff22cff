# Anmeldedienste, Clients einzeln auswählen.

login-service-go = Mit { $name } anmelden
login-service-or = Oder mit Name und Passwort:
login-service-down = { $name } antwortet zurzeit nicht. Konten mit Passwort können sich anmelden.
login-left = Sie sind bei Lotse abgemeldet.
login-left-more = Bei { $name } sind Sie noch angemeldet. Melden Sie sich an einem gemeinsam genutzten Rechner auch dort ab.
login-left-go = Bei { $name } abmelden
login-fault-service = Der Anmeldedienst ist nicht erreichbar.
login-fault-service-remedy = Seine Konten können sich jetzt nicht anmelden, Konten mit Passwort schon.
login-fault-answer = Diese Antwort des Anmeldedienstes gilt nicht.
login-fault-answer-remedy = Sie wurde schon benutzt, gehört zu einem anderen Browser oder lässt sich nicht prüfen. Beginnen Sie neu.
login-fault-denied = Der Anmeldedienst hat niemanden eingelassen.
login-fault-denied-remedy = Beginnen Sie neu, oder melden Sie sich mit Name und Passwort an.
login-fault-service-no-role = Der Anmeldedienst gibt Ihnen hier keine Rolle.
login-fault-service-no-role-remedy = Ein Administrator kann Sie in eine Gruppe aufnehmen, die hier eine Rolle hat.
login-fault-service-name-taken = Ihren Namen trägt hier schon ein anderes Konto.
login-fault-service-name-taken-remedy = Ein Administrator kann es löschen; melden Sie sich danach erneut an.
login-fault-service-no-name = Der Anmeldedienst nennt keinen Namen, den ein Konto haben kann.
login-fault-service-no-name-remedy = Ein Administrator wählt die Angabe mit dem Namen: `name-claim` in der Konfiguration.
part-login-service = Anmeldedienst
found-login-service = { $title } antwortet in { $ms } ms
found-login-service-gone = { $title } antwortet nicht: { $why }
remedy-login-service-gone = Prüfen Sie `[oidc]` in der Konfiguration und das Netz zwischen diesem Server und dem Anmeldedienst. Konten mit Passwort können sich anmelden.
choice-count = { $count ->
    [one] Ein Client ist ausgewählt.
   *[other] { $count } Clients sind ausgewählt.
}
choice-elsewhere = { $count ->
    [one] Einer davon steht auf einer anderen Seite.
   *[other] { $count } davon stehen auf anderen Seiten.
}
choice-forget = Auswahl aufheben
command-line-title = Kommandozeile
command-line-make = Auf der Kommandozeile anmelden
command-line-how = Führen Sie das auf dem Rechner aus, an dem Sie arbeiten:
