#!/usr/bin/env python3
"""ClickHouse's HTTP protocol in front of the ClickHouse engine as a library (chDB).

For one machine, the demo and tests; production runs a ClickHouse server or cluster.

    server.py --listen 127.0.0.1:8123 --path data

SIGTERM and SIGINT let running queries finish within the grace period and close the tables. Exit code
0: fine; 1: queries were cut off; 2: it could not start.
"""

import argparse
import ipaddress
import logging
import os
import signal
import socket
import socketserver
import sys
import threading
from http.server import HTTPServer
from pathlib import Path

log = logging.getLogger("embedded-clickhouse")


class Listener(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    # Waiting is `protocol.Server.drain`'s business: it has a deadline.
    block_on_close = False
    request_queue_size = 128

    def server_bind(self):
        # HTTPServer would look the address up in DNS, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        log.debug("connection of %s ended", client_address, exc_info=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP protocol over the embedded engine (chDB).")
    parser.add_argument("--listen", default="127.0.0.1:8123", metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument("--allow-remote", action="store_true", help="allow an address that is not loopback: there is no TLS")
    parser.add_argument("--path", required=True, type=Path, metavar="DIR", help="where the tables live")
    parser.add_argument("--user", default="default", help="the only user; default: %(default)s")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="the user's password; none if not given")
    parser.add_argument("--max-body-bytes", type=int, default=256 << 20, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-queries", type=int, default=64, metavar="N", help="at the same time; default: %(default)s")
    parser.add_argument("--grace-period", type=float, default=30, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="default: %(default)s")
    return parser.parse_args()


def address(listen: str, allow_remote: bool):
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        fail(f"--listen: expected HOST:PORT, found `{listen}`")
    host = host.strip("[]")
    try:
        family, _, _, _, found = socket.getaddrinfo(host or "0.0.0.0", int(port), type=socket.SOCK_STREAM)[0]
    except OSError as error:
        fail(f"--listen: `{listen}`: {error.strerror}")
    if not ipaddress.ip_address(found[0]).is_loopback and not allow_remote:
        fail(f"--listen: `{listen}` is not a loopback address; the protocol is not encrypted: --allow-remote if that is meant")
    return family, found


def fail(message: str):
    print(f"embedded-clickhouse: {message}", file=sys.stderr)
    sys.exit(2)


def main() -> int:
    options = arguments()
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    family, bind = address(options.listen, options.allow_remote)
    password = None
    if options.password_file:
        try:
            password = options.password_file.read_text().rstrip("\r\n")
        except OSError as error:
            fail(f"--password-file: `{options.password_file}`: {error.strerror}")

    # Signals first: the engine takes a second to load, and a stop during it must be clean as well.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    try:
        import engine
    except ImportError as error:
        fail(f"{error}; the engine is PyPI's `chdb-core`: run this with a Python that has it")
    import protocol

    Listener.address_family = family
    try:
        listener = Listener(bind, protocol.Handler, bind_and_activate=False)
        listener.server_bind()
    except OSError as error:
        fail(f"--listen: `{options.listen}`: {error.strerror}")
    try:
        tables = engine.Engine(options.path.resolve(), options.max_queries)
    except engine.PathInUse as error:
        fail(f"--path: {error}: one process at a time")
    except (OSError, RuntimeError) as error:
        fail(f"--path: `{options.path}`: {error}")

    shared = protocol.Server(tables, options.max_body_bytes, options.user, password)
    protocol.Handler.shared = shared
    listener.server_activate()
    host, port = listener.server_address[:2]
    log.info("listening on http://%s:%s, tables in %s, engine %s", f"[{host}]" if ":" in host else host, port, options.path, engine.VERSION)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    stop.wait()

    log.info("stopping")
    listener.shutdown()
    listener.server_close()
    left = shared.drain(options.grace_period)
    if left:
        log.warning("%s queries did not finish within %s s and are cut off", left, options.grace_period)
        # Their threads are inside the engine; tables survive this as they survive a crash.
        os._exit(1)
    tables.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
