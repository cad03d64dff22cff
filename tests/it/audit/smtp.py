# A mail server for a test: python3 smtp.py CERTIFICATE KEY MODE, where MODE is starttls, tls or open.
# Prints its port, then every mail as a line of JSON. With starttls and tls it lets in only lotse with the right password.
# "refuse" as receiver is refused. Ends when its standard input does.
import json, ssl, sys
from email import message_from_bytes, policy
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

certificate, key, mode = sys.argv[1:4]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refuse@"):
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        files = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": mail["subject"],
            "text": mail.get_body(("plain",)).get_content(), "files": files, "id": mail["message-id"], "auto": mail["auto-submitted"],
            "tls": session.ssl is not None or mode == "tls",
            "user": session.auth_data.login.decode() if session.auth_data else None,
        }), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    fine = data.login == b"lotse" and data.password == b"a right password"
    return AuthResult(success=fine, handled=fine, auth_data=data)


class Tls(Controller):
    def factory(self):
        words = {} if mode == "open" else {"authenticator": authenticate, "auth_required": True}
        if mode == "starttls":
            words.update(tls_context=tls, require_starttls=True)
        elif mode == "tls":
            words.update(auth_require_tls=False)
        return SMTP(self.handler, hostname="localhost", **words)

    # Port 0 is any free one; the controller looks whether it answers.
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


server = Tls(Handler(), hostname="127.0.0.1", port=0, ssl_context=tls if mode == "tls" else None)
server.start()
print(server.port, flush=True)
sys.stdin.read()
server.stop()
