"""TLS 1.3: echo, full handshakes, and what an idle connection takes of memory.

All servers use OpenSSL with its defaults and a P-256 certificate of their own making."""

import socket
import ssl

import harness
import memory_use
from echo import KiB, Comparison, stream
from harness import ServerFailed

MANY = 5000  # idle connections


def handshakes(at_once):
    """Each: connect, handshake without resumption, one byte there and back, close."""
    _, options = stream(at_once, 1)
    return f"handshakes, {at_once} at once", {**options, "reconnect": True}


ECHO = Comparison(
    title="TLS echo",
    first_column="connections x size",
    load="bench_tls_load",
    servers={
        "bare OpenSSL": ["bench_tls_bare_epoll"],
        "Weir epoll": ["bench_tls_weir", "--backend", "epoll"],
        "Weir uring": ["bench_tls_weir", "--backend", "uring"],
        "Asio": ["bench_tls_asio"],
    },
    shapes=[stream(100, KiB), stream(100, 100 * KiB), handshakes(10)],
    checks=[*(stream(20, size, 3) for size in (1, 64 * KiB + 1, 300 * KiB)), handshakes(3)])


def connect_with(context):
    def connect(port):
        """A connection that has echoed one message; this side keeps only its socket."""
        try:
            secured = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
            memory_use.echo(secured)
        except ssl.SSLError as error:
            raise ServerFailed(f"TLS: {error}") from error
        return socket.socket(fileno=secured.detach())
    return connect


def run(build, only, rounds, seconds):
    """{"echo": as echo.py's, "memory": as memory_use.py's}; None if there is nobody to measure."""
    echo = ECHO.run(build, only, rounds, seconds)
    if not echo:
        return None
    servers = harness.available(build, ECHO.servers, echo[0]["servers"])
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return {"echo": echo,
            "memory": memory_use.compare("TLS", build, servers, connect_with(trusting), MANY)}
