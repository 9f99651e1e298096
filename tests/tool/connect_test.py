#!/usr/bin/env python3
"""weir connect: standard input to a peer, the peer to standard output."""

import contextlib
import fcntl
import http.server
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import threading
import unittest

from programs import DEADLINE, MIB, ProgramTest, fill, receive_all, receive_exactly, tool


class ConnectTest(ProgramTest):
    def connect(self, port, **options):
        return self.start(tool(), "connect", f"tcp://127.0.0.1:{port}", **options)

    def input_file(self, data):
        path = self.temporary_directory() / "input"
        path.write_bytes(data)
        file = path.open("rb")
        self.addCleanup(file.close)
        return file


class BothDirections(ConnectTest):
    def test_fetches_a_page_byte_for_byte(self):
        page = os.urandom(4 * MIB)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

        request = self.input_file(b"GET / HTTP/1.0\r\n\r\n")
        code, out, err = self.connect(server.server_port, stdin=request).finish()
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(out.startswith(b"HTTP/1.0 200 "))
        self.assertTrue(out.partition(b"\r\n\r\n")[2] == page)

    def test_end_of_input_ends_only_the_sending_direction(self):
        def answer_after_the_end(connection):
            connection.sendall(b"got " + receive_all(connection))

        port = self.peer(answer_after_the_end)
        self.assertEqual(self.connect(port, stdin=self.input_file(b"all of it")).finish(),
                         (0, b"got all of it", ""))

    def test_end_of_the_peer_ends_only_the_output(self):
        received = []

        def end_first(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            received.append(receive_all(connection))

        program = self.connect(self.peer(end_first), stdin=subprocess.PIPE)
        self.assertEqual(program.process.stdout.read(), b"bye")  # to its end: output is closed
        program.process.stdin.write(b"one more thing")
        program.process.stdin.close()
        self.assertEqual(program.process.wait(DEADLINE), 0)
        self.doCleanups()  # joins the peer
        self.assertEqual(received, [b"one more thing"])

    def test_waits_for_a_reader_that_is_slow(self):
        size = 64 * MIB
        sent = []
        stuck = threading.Event()

        def flood(connection):
            sent.append(fill(connection, size))
            stuck.set()
            connection.sendall(b"." * 1000)

        program = self.connect(self.peer(flood))
        self.assertTrue(stuck.wait(DEADLINE))  # not a byte is read before that
        self.assertLess(sent[0], size)
        code, out, _ = program.finish()
        self.assertEqual((code, len(out)), (0, sent[0] + 1000))

    def test_waits_for_a_peer_that_is_slow(self):
        go_on = threading.Event()
        received = []

        def read_later(connection):
            go_on.wait(DEADLINE)
            received.append(len(receive_all(connection)))

        program = self.connect(self.peer(read_later), stdin=subprocess.PIPE)
        pipe = program.process.stdin.fileno()
        os.set_blocking(pipe, False)
        written = self.write_until_stuck(pipe, 64 * MIB)
        self.assertLess(written, 64 * MIB)
        go_on.set()
        program.process.stdin.close()
        self.assertEqual(program.process.wait(DEADLINE), 0)
        self.doCleanups()
        self.assertEqual(received, [written])

    def write_until_stuck(self, pipe, limit):
        written = 0
        while written < limit and select.select([], [pipe], [], 2.0)[1]:
            written += os.write(pipe, b"." * 4096)
        return written


class StandardStreams(ConnectTest):
    def echo(self):
        return self.peer(lambda connection: connection.sendall(receive_all(connection)))

    def test_files_on_both_sides(self):
        data = os.urandom(3 * MIB)
        path = self.temporary_directory() / "output"
        with path.open("wb") as output:
            code, _, err = self.connect(
                self.echo(), stdin=self.input_file(data), stdout=output).finish()
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(path.read_bytes() == data)

    def test_devices_on_both_sides(self):
        program = self.connect(self.echo(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.assertEqual(program.finish()[::2], (0, ""))

    def test_sockets_on_both_sides(self):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                program = self.connect(self.echo(), stdin=theirs, stdout=theirs)
            ours.settimeout(DEADLINE)
            data = os.urandom(MIB)
            sender = threading.Thread(
                target=lambda: (ours.sendall(data), ours.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertTrue(receive_exactly(ours, len(data)) == data)
            sender.join(DEADLINE)
            self.assertEqual(program.process.wait(DEADLINE), 0)

    def test_no_standard_input_at_all(self):
        port = self.echo()
        command = f"exec '{tool()}' connect tcp://127.0.0.1:{port} <&-"
        self.assertEqual(self.start("sh", "-c", command).finish(), (0, b"", ""))

    def test_flags_of_shared_pipes_stay_as_they_are(self):
        reader, writer = os.pipe()
        out_reader, out_writer = os.pipe()
        for descriptor in reader, writer, out_reader, out_writer:
            self.addCleanup(os.close, descriptor)
        before = [fcntl.fcntl(descriptor, fcntl.F_GETFL) for descriptor in (reader, out_writer)]
        port = self.peer(lambda connection: connection.sendall(receive_exactly(connection, 4)))
        program = self.connect(port, stdin=reader, stdout=out_writer)
        os.write(writer, b"ping")
        self.assertEqual(os.read(out_reader, 4), b"ping")  # it is in the middle of its work
        after = [fcntl.fcntl(descriptor, fcntl.F_GETFL) for descriptor in (reader, out_writer)]
        self.assertEqual(after, before)
        self.assertIsNone(program.process.poll())

    def test_flags_of_shared_sockets_are_restored_in_the_end(self):
        with contextlib.ExitStack() as stack:
            for one_socket in True, False:
                ends = [socket.socketpair() for _ in range(1 if one_socket else 2)]
                for end in ends:
                    stack.enter_context(end[0])
                    stack.enter_context(end[1])
                program = self.connect(self.echo(), stdin=ends[0][1], stdout=ends[-1][1])
                ends[0][0].sendall(b"ping")
                ends[0][0].shutdown(socket.SHUT_WR)
                self.assertEqual(receive_exactly(ends[-1][0], 4), b"ping")
                self.assertEqual(program.process.wait(DEADLINE), 0)
                for end in ends:
                    self.assertEqual(fcntl.fcntl(end[1], fcntl.F_GETFL) & os.O_NONBLOCK, 0)

    def test_a_terminal(self):
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        attributes = termios.tcgetattr(terminal)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        flags = fcntl.fcntl(terminal, fcntl.F_GETFL)
        program = self.connect(self.echo(), stdin=terminal, stdout=terminal)
        os.write(controller, b"typed\n\x04")  # with the end of what is typed
        self.assertTrue(select.select([controller], [], [], DEADLINE)[0])
        self.assertEqual(os.read(controller, 100), b"typed\r\n")
        self.assertEqual(fcntl.fcntl(terminal, fcntl.F_GETFL), flags)
        os.close(terminal)
        self.assertEqual(program.process.wait(DEADLINE), 0)


class EveryScheme(ProgramTest):
    def test_sockets_and_commands(self):
        data = os.urandom(MIB)
        path = self.temporary_directory() / "input"
        path.write_bytes(data)
        urls = ["exec:cat"]
        for url in self.socket_urls().values():
            urls += self.serve_echo(urls=[url])[1]
        for url in urls:
            with self.subTest(url), path.open("rb") as file:
                code, out, err = self.start(tool(), "connect", url, stdin=file).finish()
                self.assertEqual((code, err), (0, ""))
                self.assertTrue(out == data)

    def test_commands_that_fail(self):
        for command, message in (
                ("exit 3", "the command 'exit 3' ended with exit code 3"),
                ("kill -SEGV $$", "the command 'kill -SEGV $$' was killed: Segmentation fault")):
            with self.subTest(command):
                self.assertEqual(self.start(tool(), "connect", f"exec:{command}").finish(),
                                 (1, b"", f"weir: {message}\n"))

    def test_a_command_prints_its_errors_where_it_is_told(self):
        self.assertEqual(self.start(tool(), "connect", "exec:echo out; echo err >&2").finish(),
                         (0, b"out\n", "err\n"))


class Failures(ConnectTest):
    def test_a_connection_that_is_reset(self):
        def reset(connection):
            receive_exactly(connection, 4)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        port = self.peer(reset)
        program = self.connect(port, stdin=subprocess.PIPE)
        program.process.stdin.write(b"ping")
        program.process.stdin.flush()
        self.assertEqual(program.process.wait(DEADLINE), 1)
        self.assertEqual(program.process.stderr.read().decode(),
                         f"weir: lost the connection to tcp://127.0.0.1:{port}: Connection reset by "
                         "peer; the peer ended it, ask there\n")

    def test_an_output_whose_reader_has_gone(self):
        program = self.connect(self.peer(lambda connection: fill(connection, MIB)))
        program.process.stdout.close()
        self.assertEqual(program.process.wait(DEADLINE), 1)
        self.assertEqual(program.process.stderr.read().decode(),
                         "weir: cannot write to standard output: Broken pipe; its reader has to "
                         "read until the end\n")

    def test_an_input_that_cannot_be_read(self):
        directory = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        port = self.peer(receive_all)
        self.assertEqual(self.connect(port, stdin=directory).finish(),
                         (1, b"", "weir: cannot read standard input: Is a directory; use a file, a "
                                  "pipe or </dev/null\n"))


if __name__ == "__main__":
    unittest.main()
