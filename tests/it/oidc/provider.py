# A login service for a test: python3 provider.py CERTIFICATE KEY SECRET. Prints its issuer and serves over HTTPS. Each line of its input is
# where the client `lotse` is sent back to from then on; it ends with its input.
# It is Canaille with everything in memory: ann is in `it` and `staff`, bob in `teachers`, eve in no group; admin has a name that is taken.
import os
import socket
import sys
import threading

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from werkzeug.serving import make_server

certificate, key, secret = sys.argv[1:4]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
address = "127.0.0.1:%d" % listener.getsockname()[1]
app = create_app(
    {
        "SECRET_KEY": "of this test alone",
        "SERVER_NAME": address,
        "PREFERRED_URL_SCHEME": "https",
        "CANAILLE": {"DATABASE": "memory", "LOGGING": {"version": 1}, "SMTP": None},
        "CANAILLE_OIDC": {
            "TRUSTED_DOMAINS": ["127.0.0.1"],
            "USERINFO_MAPPING": {
                "SUB": "id-of-{{ user.user_name }}",
                "NAME": "{{ user.formatted_name }}",
                "PREFERRED_USERNAME": "{{ user.user_name }}",
            },
        },
    }
)


def people():
    groups = {"it": ["Ann", "admin"], "staff": ["Ann"], "teachers": ["bob"]}
    there = {}
    for name, given, family in [("Ann", "Ann", "Lee"), ("bob", "Bob", "B"), ("eve", "Eve", "E"), ("admin", "A", "B")]:
        there[name] = models.User(
            user_name=name, formatted_name=f"{given} {family}", given_name=given, family_name=family,
            emails=["one-for-all@school.example"], password=f"{name}'s password",
        )
        Backend.instance.save(there[name])
    for group, members in groups.items():
        Backend.instance.save(models.Group(display_name=group, members=[there[name] for name in members]))


def client(redirect):
    lotse = models.Client(
        client_id="lotse", client_secret=secret, client_name="Lotse", client_uri="https://127.0.0.1/",
        redirect_uris=[redirect], grant_types=["authorization_code"], response_types=["code"],
        scope=["openid", "profile", "groups"], token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(lotse)
    # For whom its tokens are; it must be there to be named.
    lotse.audience = [lotse]
    Backend.instance.save(lotse)


with app.app_context(), Backend.instance.session():
    people()
server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=(certificate, key), fd=listener.fileno())
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"https://{address}", flush=True)
for line in sys.stdin:
    with app.app_context(), Backend.instance.session():
        client(line.strip())
    print("ready", flush=True)
os._exit(0)
