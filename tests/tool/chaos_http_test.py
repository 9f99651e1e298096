#!/usr/bin/env python3
"""curl, weir chaos and an HTTP server: a file arrives as it was, or curl says that it did not."""

import collections
import hashlib
import http.server
import os
import shutil
import subprocess
import threading
import unittest

from programs import DEADLINE, MIB, SIGTERM, ProgramTest, port_of

SIZE = 2 * MIB + 7
SEEDS = range(1, 7)

# Faults that only delay: every transfer has to succeed.
DELAYS = [
    ("--latency", "5ms", "--jitter", "10ms"),
    ("--segments", "100"),
    ("--rate", "20MiB"),
    ("--stall", "0.01", "--stall-for", "20ms"),
    ("--do", "partition back for 200ms", "--do", "at 50ms partition forward for 100ms"),
]
# Faults that may end the connection.
RESETS = [
    ("--reset", "0.0005"),
    ("--back", "reset=0.0005,segments=1000,latency=2ms,jitter=5ms"),
    ("--forward", "reset=0.0005", "--stall", "0.005", "--stall-for", "10ms"),
    ("--reset-at", "1MiB"),
    ("--do", "at 30ms reset", "--rate", "20MiB"),
]


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Site(http.server.BaseHTTPRequestHandler):
    """GET gives the file, PUT answers with the checksum of what came."""

    protocol_version = "HTTP/1.1"
    file = b""

    def do_GET(self):
        self.answer(self.file)

    def do_PUT(self):
        size = int(self.headers["Content-Length"])
        data = self.rfile.read(size)
        if len(data) == size:
            self.answer(digest(data).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # resets are what this is about


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class Curl(ProgramTest):
    def setUp(self):
        self.directory = self.temporary_directory()
        self.sent = self.directory / "sent"
        self.sent.write_bytes(os.urandom(SIZE))
        site = type("SiteOfFile", (Site,), {"file": self.sent.read_bytes()})
        server = Server(("127.0.0.1", 0), site)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.target = f"tcp://127.0.0.1:{server.server_address[1]}"

    def curl(self, port, *options):
        """Returns curl's exit code and what it wrote into a file."""
        received = self.directory / "received"
        received.unlink(missing_ok=True)
        code = subprocess.run(
            ["curl", "--silent", "--max-time", str(DEADLINE), "--noproxy", "*", "--output", str(received),
             *options, f"http://127.0.0.1:{port}/"], timeout=2 * DEADLINE, check=False).returncode
        return code, received.read_bytes() if received.exists() else b""

    def transfers(self, *faults):
        """A download and an upload with each seed; returns how often curl ended with which code."""
        codes = collections.Counter()
        for seed in SEEDS:
            program, [url] = self.serve("chaos", "tcp://127.0.0.1:0", self.target, "--seed", str(seed),
                                        "--grace", "0", *faults)
            for options, right in [((), self.sent.read_bytes()),
                                   (("--upload-file", str(self.sent)), digest(self.sent.read_bytes()).encode())]:
                code, received = self.curl(port_of(url), *options)
                codes[code] += 1
                if code == 0:
                    self.assertTrue(received == right, f"seed {seed}: corrupt, and curl is content")
            program.signal(SIGTERM)
            self.assertEqual(program.finish()[0], 0)
        return codes

    def test_delays_cost_time_only(self):
        for faults in DELAYS:
            with self.subTest(faults):
                self.assertEqual(set(self.transfers(*faults)), {0})

    def test_resets_are_noticed(self):
        total = collections.Counter()
        for faults in RESETS:
            with self.subTest(faults):
                total += self.transfers(*faults)
        self.assertGreater(len(total), 1)
        self.assertGreater(total[0], 0)


if __name__ == "__main__":
    unittest.main()
