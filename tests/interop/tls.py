#!/usr/bin/env python3
"""TLS with the programs of others: files go both ways and arrive as they were sent.

    tls.py [--large]        WEIR_TOOL and WEIR_MAKE_CERTIFICATES name the programs; --large: 100 MB each

A program that is not installed is skipped.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tool"))
from programs import DEADLINE, MIB, ProgramTest, port_of, round_trip, tool

SIZE = 3 * MIB + 7
LARGE_SIZE = 100 * 1000 * 1000
VERSIONS = ("-tls1_2", "-tls1_3")
GNUTLS_PRIORITIES = ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3")


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listening_port(pid):
    """The port at which a process listens over IPv4; None as long as it does not."""
    sockets = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it may be closed meanwhile
            sockets.add(os.readlink(descriptor))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if state == "0A" and f"socket:[{inode}]" in sockets:
            return int(local.rpartition(":")[2], 16)
    return None


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class InteropTest(ProgramTest):
    def setUp(self):
        self.directory = self.certificates()
        self.sent = self.directory / "sent"
        self.received = self.directory / "received"
        block = os.urandom(MIB)
        with self.sent.open("wb") as file:
            for begin in range(0, SIZE, MIB):
                file.write(block[:SIZE - begin])

    def file(self, name):
        return str(self.directory / name)

    def relay(self, command):
        """A TLS server that runs a command for each connection; returns it and its port."""
        program, url = self.serve_relay(
            f"tls://127.0.0.1:0?cert={self.file('server.pem')}&key={self.file('server.key')}",
            f"exec:{command}")
        return program, port_of(url)

    def run_program(self, *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=None):
        return subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd,
                              timeout=10 * DEADLINE, check=False)

    def check_received(self):
        self.assertEqual(self.received.stat().st_size, SIZE)
        self.assertEqual(checksum(self.received), checksum(self.sent))

    def wait_for(self, condition):
        """What another program does is not told to us. Returns what the condition does."""
        end = time.monotonic() + DEADLINE
        while not (met := condition()):
            self.assertLess(time.monotonic(), end, "nothing happened in time")
            time.sleep(0.01)
        return met

    @contextlib.contextmanager
    def open_input(self, data=b""):
        """Standard input with a little data, which does not end."""
        reader, writer = os.pipe()
        try:
            os.write(writer, data)
            yield reader
        finally:
            os.close(reader)
            os.close(writer)

    def download(self, *command):
        """A client that prints what it receives; its input stays open."""
        _, port = self.relay(f"cat '{self.sent}'")
        with self.open_input() as reader, self.received.open("wb") as output:
            self.run_program(*(part.format(port=port) for part in command), stdin=reader,
                             stdout=output)
        self.check_received()

    def upload(self, *command):
        """A client that sends its input and ends."""
        _, port = self.relay(f"cat > '{self.received}.part' && mv '{self.received}.part' '{self.received}'")
        with self.sent.open("rb") as data:
            self.run_program(*(part.format(port=port) for part in command), stdin=data)
        self.wait_for(self.received.exists)
        self.check_received()

    def connect(self, port, *, stdin, stdout):
        """`weir connect` to a TLS server of another program."""
        return self.run_program(
            tool(), "connect", f"tls://127.0.0.1:{port}?ca={self.file('ca.pem')}", "--linger", "0.5",
            stdin=stdin, stdout=stdout)

    def serve_program(self, *command, **streams):
        """Starts a server of another program in the directory of the certificates."""
        process = subprocess.Popen(command, cwd=self.directory, stderr=subprocess.DEVNULL,
                                   **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                                      **streams})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def download_by_http(self, port):
        """What was received is what was sent, after a header; the server ends the connection."""
        with self.open_input(b"GET /sent HTTP/1.0\r\n\r\n") as reader, \
                self.received.open("wb") as output:
            self.connect(port, stdin=reader, stdout=output)
        _, _, body = self.received.read_bytes().partition(b"\r\n\r\n")
        self.received.write_bytes(body)
        self.check_received()


@needs("openssl")
class OpenSsl(InteropTest):
    CLIENT = ("openssl", "s_client", "-connect", "127.0.0.1:{port}", "-quiet",
              "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost")

    def test_client_receives(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.download(*self.CLIENT, "-CAfile", self.file("ca.pem"), version)

    def test_client_sends(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.received.unlink(missing_ok=True)
                self.upload(*self.CLIENT, "-CAfile", self.file("ca.pem"), version, "-no_ign_eof",
                            "-nocommands")

    def server(self, *options, **streams):
        """A server at a Unix socket, whose path says when it listens; and a port that leads there."""
        path = self.directory / f"socket{len(list(self.directory.iterdir()))}"
        process = self.serve_program("openssl", "s_server", "-unix", str(path), "-cert", "server.pem",
                                     "-key", "server.key", "-cert_chain", "server.pem", *options,
                                     **streams)
        self.wait_for(path.exists)
        _, url = self.serve_relay("tcp://127.0.0.1:0", f"unix:{path}")
        return process, port_of(url)

    def test_server_sends(self):
        for version in VERSIONS:
            with self.subTest(version):
                _, port = self.server("-WWW", version)
                self.download_by_http(port)

    def test_server_receives(self):
        for version in VERSIONS:
            with self.subTest(version), self.sent.open("rb") as data, \
                    self.received.open("wb") as output:
                process, port = self.server("-quiet", "-naccept", "1", version,
                                            stdin=subprocess.PIPE, stdout=output)
                self.addCleanup(process.stdin.close)
                done = self.connect(port, stdin=data, stdout=subprocess.DEVNULL)
                self.assertEqual(done.stderr, b"")
                process.wait(DEADLINE)
                self.check_received()


@needs("curl")
class Curl(InteropTest):
    def curl(self, port, *options):
        done = self.run_program("curl", "--silent", "--show-error", "--fail", "--cacert",
                                self.file("ca.pem"), *options, f"https://localhost:{port}/")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_receives(self):
        _, port = self.relay(r"printf 'HTTP/1.0 200 OK\r\n\r\n'; cat " + f"'{self.sent}'")
        self.curl(port, "--output", str(self.received))
        self.check_received()

    def test_sends(self):
        _, port = self.relay(r"sed -u '/^\r$/q' >&2; " + f"head -c {SIZE} > '{self.received}'; "
                             r"printf 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'")
        self.curl(port, "--header", "Expect:", "--upload-file", str(self.sent))
        self.check_received()


class PythonSsl(InteropTest):
    def test_both_ways_at_once(self):
        _, [url] = self.serve_echo(urls=[f"tls://127.0.0.1:0?cert={self.file('server.pem')}"
                                         f"&key={self.file('server.key')}"])
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.subTest(version):
                context = ssl.create_default_context(cafile=self.file("ca.pem"))
                context.minimum_version = context.maximum_version = version
                connection = self.tls_client(port_of(url), context)
                self.received.write_bytes(round_trip(connection, self.sent.read_bytes()))
                self.check_received()
                connection.unwrap()


@needs("gnutls-cli")
class GnuTls(InteropTest):
    def client(self, priority):
        """It writes what it receives byte by byte: --large takes minutes."""
        return ("gnutls-cli", "--logfile=/dev/null", "--x509cafile", self.file("ca.pem"),
                "--priority", priority, "--port", "{port}", "localhost")

    def test_client_receives(self):
        for priority in GNUTLS_PRIORITIES:
            with self.subTest(priority):
                self.download(*self.client(priority))

    def test_client_sends(self):
        for priority in GNUTLS_PRIORITIES:
            with self.subTest(priority):
                self.received.unlink(missing_ok=True)
                self.upload(*self.client(priority))


@needs("gnutls-serv")
class GnuTlsServer(InteropTest):
    def server(self, *options):
        """Starts it; returns its port."""
        process = self.serve_program("gnutls-serv", "--port", "0", "--disable-client-cert",
                                     "--x509certfile", "server.pem", "--x509keyfile", "server.key",
                                     *options)
        return self.wait_for(lambda: listening_port(process.pid))

    def test_sends(self):
        for priority in GNUTLS_PRIORITIES:
            with self.subTest(priority):
                self.download_by_http(self.server("--http", "--httpdata", str(self.sent),
                                                  "--priority", priority))

    def test_receives_and_sends_back(self):
        target = f"tls://127.0.0.1:{self.server('--echo', '--crlf')}?ca={self.file('ca.pem')}"
        _, url = self.serve_relay("tcp://127.0.0.1:0", target)
        text = self.sent.read_bytes().hex("\n", 16).encode()[:SIZE - 1] + b"\n"  # it echoes lines
        self.assertTrue(round_trip(self.client(port_of(url)), text) == text)


if __name__ == "__main__":
    if "--large" in sys.argv:
        sys.argv.remove("--large")
        SIZE = LARGE_SIZE
    unittest.main()
