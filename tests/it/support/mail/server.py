"""A mail server for the tests: aiosmtpd on a free port of loopback, STARTTLS and credentials required.

    server.py CERTIFICATE KEY

The first line that it prints is its port; then comes one line of JSON for each e-mail, as a reader of mail sees it.
`nobody@` is refused for good, everybody else is let in.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Postbox:
    def __init__(self):
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        leaves = [part for part in mail.walk() if not part.is_multipart()]
        seen = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "encrypted": session.ssl is not None,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "parts": [{"type": part.get_content_type(), "text": part.get_content()} for part in leaves],
        }
        print(json.dumps(seen), flush=True)
        self.taken += 1
        return f"250 2.0.0 Ok: queued as T{self.taken:06}"


def known(server, session, envelope, mechanism, data):
    # Not handled: the refusal is left to aiosmtpd, which says 535.
    return AuthResult(success=(data.login, data.password) == (b"remesa", b"s3cret"), handled=False)


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    postbox = Postbox()

    def talk():
        return SMTP(
            postbox, hostname="localhost", tls_context=tls, require_starttls=True, authenticator=known, auth_required=True
        )

    server = await asyncio.get_running_loop().create_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
