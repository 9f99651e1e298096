"""The programs under test, run so that none outlives its test and none is waited for in vain."""

import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

DEADLINE = 60.0  # seconds; only ever reached by a failure


def tool():
    """The path of the command line tool."""
    return os.environ["WEIR_TOOL"]


def example(name):
    """The path of an example program."""
    directory = os.environ.get("WEIR_EXAMPLES") or os.environ["WEIR_EXAMPLES_DIR"]
    return str(pathlib.Path(directory) / name)


class Program:
    """A running program whose standard output is read line by line."""

    def __init__(self, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=None):
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
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
        program = self.start(tool(), "echo", *urls, *options)
        listening = [program.line() for _ in urls]
        for line in listening:
            self.assertRegex(line, r"^listening on tcp://\S+:[1-9][0-9]*$")
        return program, [line.removeprefix("listening on ") for line in listening]

    def client(self, port, host="127.0.0.1"):
        connection = socket.create_connection((host, port), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

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
