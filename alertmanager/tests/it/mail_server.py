"""An SMTP server that keeps mails in a Maildir and misbehaves for certain addresses.

refused*@  is refused for good, later*@ is told to come later until DIR/now exists, slow*@ gets its answer 2 s after
DIR/slow appears.
"""

import argparse
import asyncio
import os
import ssl

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--dir", required=True)
arguments.add_argument("--certificate", help="PEM file with key and certificate: STARTTLS is offered and required")
arguments.add_argument("--user", help="NAME:PASSWORD: nothing goes without it")
arguments = arguments.parse_args()


class Handler(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return f"550 5.1.1 <{address}>: no such user here"
        if address.startswith("later") and not os.path.exists(os.path.join(arguments.dir, "now")):
            return "451 4.3.0 come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("slow") for address in envelope.rcpt_tos):
            open(os.path.join(arguments.dir, "slow"), "w").close()
            await asyncio.sleep(2)
        return await super().handle_DATA(server, session, envelope)


def authenticate(server, session, envelope, mechanism, data):
    given = f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=given == arguments.user, handled=False)


options = {}
if arguments.certificate:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.certificate)
    options.update(tls_context=context, require_starttls=True)
if arguments.user:
    options.update(authenticator=authenticate, auth_required=True)

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
handler = Handler(os.path.join(arguments.dir, "mail"))
controller = UnthreadedController(handler, loop=loop, hostname="127.0.0.1", port=arguments.port, **options)
controller.begin()
loop.run_forever()
