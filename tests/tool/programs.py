"""The programs under test, run so that none outlives its test and none is waited for in vain."""

import itertools
import os
import pathlib
import pty
import select
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

unique_numbers = itertools.count()
DEADLINE = 60.0  # seconds; only ever reached by a failure


def tool():
    """The path of the command line tool."""
    return os.environ["WEIR_TOOL"]


def example(name):
    """The path of an example program."""
    directory = os.environ.get("WEIR_EXAMPLES") or os.environ["WEIR_EXAMPLES_DIR"]
    return str(pathlib.Path(directory) / name)


def threads_of(pid):
    """How many threads a process has, not counting the one of the thread sanitizer's."""
    return len(os.listdir(f"/proc/{pid}/task")) - ("TSAN_OPTIONS" in os.environ)


class Program:
    """A running program whose standard output is read line by line."""

    def __init__(self, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=None):
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, bufsize=0,
            env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self._buffer = b""

    def line(self):
        """The next line of its output, without the newline; fails if there is none in time."""
        end = time.monotonic() + DEADLINE
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            if not ready:
                raise AssertionError(f"no line in time; so far: {self._buffer!r}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"output ended; {self._buffer!r} {self.process.stderr.read()!r}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def read(self, stream, size):
        """`size` bytes of its output or its standard error, given as process.stdout or .stderr."""
        data = b""
        while len(data) < size:
            if not select.select([stream], [], [], DEADLINE)[0]:
                raise AssertionError(f"nothing more in time; so far: {data!r}")
            piece = os.read(stream.fileno(), size - len(data))
            if not piece:
                raise AssertionError(f"ended after {data!r}")
            data += piece
        return data

    def error_line(self):
        """The next line of its standard error, without the newline."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.read(self.process.stderr, 1)
        return line.decode()[:-1]

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self):
        """Waits for its end; returns (exit code, rest of its output, its standard error)."""
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, self._buffer + (out or b""), err.decode()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


class ProgramTest(unittest.TestCase):
    """Ends what it started."""

    def start(self, *command, **options):
        program = Program(*command, **options)
        self.addCleanup(program.kill)
        return program

    def run_tool(self, *arguments, **options):
        """Runs the tool to its end; returns (exit code, output, standard error)."""
        code, out, err = self.start(tool(), *arguments, **options).finish()
        return code, out.decode(), err

    def serve_echo(self, *options, urls=("tcp://127.0.0.1:0",)):
        """Starts `weir echo`; returns the program and its real URLs."""
        return self.serve("echo", *urls, *options, sockets=len(urls))

    def serve_relay(self, listen, target, *options):
        """Starts `weir relay` on a socket; returns the program and its real URL."""
        program, [url] = self.serve("relay", listen, target, *options)
        return program, url

    def serve(self, *arguments, sockets=1):
        program = self.start(tool(), *arguments)
        listening = [program.line() for _ in range(sockets)]
        for line in listening:
            self.assertRegex(line, r"^listening on ((tcp|tls|udp)://\S+:[1-9][0-9]*|unix\S*:\S+)$")
        return program, [line.removeprefix("listening on ") for line in listening]

    def client(self, port, host="127.0.0.1"):
        connection = socket.create_connection((host, port), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def client_of(self, url):
        """A client of a tcp, unix or unix-abstract URL."""
        scheme, _, rest = url.partition(":")
        if scheme == "tcp":
            return self.client(port_of(url), rest[2:].rpartition(":")[0].strip("[]"))
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(DEADLINE)
        connection.connect(rest if scheme == "unix" else "\0" + rest)
        return connection

    def certificates(self):
        """A directory of certificates, as tool/make_certificates.cpp says; skips without TLS."""
        maker = os.environ.get("WEIR_MAKE_CERTIFICATES")
        if not maker:
            self.skipTest("built without TLS")
        directory = self.temporary_directory()
        subprocess.run([maker, str(directory)], check=True, timeout=DEADLINE)
        return directory

    def tls_client(self, port, context, name="localhost"):
        """A client of Python's ssl, its handshake done."""
        connection = context.wrap_socket(self.client(port), server_hostname=name)
        self.addCleanup(connection.close)
        return connection

    def socket_urls(self):
        """Where one can listen on a stream, one URL of each kind."""
        return {"tcp": "tcp://127.0.0.1:0",
                "unix": f"unix:{self.temporary_directory() / 'socket'}",
                "unix-abstract": f"unix-abstract:weir-test-{os.getpid()}-{next(unique_numbers)}"}

    def peer(self, serve):
        """A server for one connection, `serve(connection)` on a thread; returns its port."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(DEADLINE)

        def run():
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test is over and nobody came
            connection.settimeout(DEADLINE)
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(listener.close)
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        return listener.getsockname()[1]

    def temporary_directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)


def port_of(url):
    return int(url.rpartition(":")[2])


def receive_all(connection):
    """Everything until the end of the stream."""
    return b"".join(iter(lambda: connection.recv(1 << 18), b""))


def receive_exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise AssertionError(f"ended after {len(data)} of {size} bytes")
        data += piece
    return data


def exchange(connection, data):
    """Sends all, ends that direction, and receives to the end."""
    def send():
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    received = receive_all(connection)
    sender.join(DEADLINE)
    return received


def round_trip(connection, data):
    """Sends all and receives as much, over TLS or not: on one thread, for two may not use one of ssl."""
    connection.setblocking(False)
    left, received = memoryview(data), bytearray()
    waits = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError
    while len(received) < len(data):
        try:
            if left:
                left = left[connection.send(left[:65536]):]
        except waits:
            pass
        try:
            piece = connection.recv(1 << 18)
            if not piece:
                raise AssertionError(f"ended after {len(received)} of {len(data)} bytes")
            received += piece
        except waits:
            if not any(select.select([connection], [connection] if left else [], [], DEADLINE)):
                raise AssertionError(f"nothing more in time, after {len(received)} bytes") from None
    connection.settimeout(DEADLINE)
    return bytes(received)


def resident_bytes(pid):
    """How much memory a process has."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def fill(connection, limit, patience=2.0):
    """Sends until nobody takes more for `patience` seconds, or `limit` is sent; returns how much."""
    connection.setblocking(False)
    sent = 0
    block = b"." * 65536
    while sent < limit:
        _, writable, _ = select.select([], [connection], [], patience)
        if not writable:
            break
        sent += connection.send(block)
    connection.settimeout(DEADLINE)
    return sent


def on_a_terminal(*command, env=None):
    """Runs a command with its output on a terminal; returns (exit code, what the terminal got)."""
    controller, terminal = pty.openpty()
    shown = []

    def read():
        try:
            shown.extend(iter(lambda: os.read(controller, 65536), b""))
        except OSError:
            pass  # the last holder of the terminal has closed it

    reader = threading.Thread(target=read)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=terminal,
                                   stderr=terminal, env={**os.environ, **(env or {})})
        os.close(terminal)
        reader.start()
        try:
            code = process.wait(DEADLINE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            reader.join(DEADLINE)
    finally:
        os.close(controller)
    return code, b"".join(shown).decode()


MIB = 1 << 20
SIGINT, SIGTERM = signal.SIGINT, signal.SIGTERM
