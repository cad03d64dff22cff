# Login services, choosing clients one by one.

login-service-go = Log in with { $name }
login-service-or = Or with name and password:
login-service-down = { $name } does not answer at the moment. Accounts with a password can log in.
login-left = You are logged out of Lotse.
login-left-more = You are still logged in at { $name }. On a computer that others use, log out there as well.
login-left-go = Log out of { $name }
login-fault-service = The login service cannot be reached.
login-fault-service-remedy = Its accounts cannot log in now; accounts with a password can.
login-fault-answer = This answer of the login service does not count.
login-fault-answer-remedy = It was used before, belongs to another browser, or cannot be verified. Begin again.
login-fault-denied = The login service has let nobody in.
login-fault-denied-remedy = Begin again, or log in with name and password.
login-fault-service-no-role = The login service gives you no role here.
login-fault-service-no-role-remedy = An admin can put you into a group that has a role here.
login-fault-service-name-taken = Another account has your name already.
login-fault-service-name-taken-remedy = An admin can delete it; then log in again.
login-fault-service-no-name = The login service gives no name that an account can have.
login-fault-service-no-name-remedy = An admin chooses the claim with the name: `name-claim` in the configuration.
part-login-service = Login service
found-login-service = { $title } answers in { $ms } ms
found-login-service-gone = { $title } does not answer: { $why }
remedy-login-service-gone = Look at `[oidc]` in the configuration, and at the network between this server and the login service. Accounts with a password can log in.
choice-count = { $count ->
    [one] One client is chosen.
   *[other] { $count } clients are chosen.
}
choice-elsewhere = { $count ->
    [one] One of them is on another page.
   *[other] { $count } of them are on other pages.
}
choice-forget = Forget the choice
command-line-title = Command line
command-line-make = Log in on the command line
command-line-how = Run this on the computer from which you work:
