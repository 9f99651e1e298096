#!/usr/bin/env python3
"""Every example does what its first line says."""

import os
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tool"))
from programs import (DEADLINE, MIB, ProgramTest, example, fill, receive_all, receive_exactly,
                      threads_of)


class ExampleTest(ProgramTest):
    def serve(self, name):
        """Starts an example that serves on a free port; returns the program and the port."""
        program = self.start(example(name), "0")
        line = program.line()
        self.assertRegex(line, r" on 127\.0\.0\.1:[1-9][0-9]*$")
        return program, int(line.rpartition(":")[2])


class Echo(ExampleTest):
    def test_client_and_server(self):
        _, port = self.serve("tcp_echo_server")
        client = self.start(example("tcp_echo_client"), str(port), "How do you do?")
        code, out, _ = client.finish()
        self.assertEqual((code, out), (0, b"sent: How do you do?\nreceived: How do you do?\n"
                                          b"the server closed the connection\n"))

    def test_server_is_bounded(self):
        _, port = self.serve("tcp_echo_server")
        connection = self.client(port)
        sent = fill(connection, 128 * MIB)
        self.assertLess(sent, 128 * MIB)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(len(receive_all(connection)), sent)

    def test_server_on_threads(self):
        program = self.start(example("threads_echo_server"), "0", "3")
        port = int(program.line().rpartition(":")[2])
        self.assertEqual(threads_of(program.process.pid), 4)
        connections = [self.client(port) for _ in range(30)]
        for connection in connections:
            connection.sendall(b"How do you do?")
        for connection in connections:
            self.assertEqual(receive_exactly(connection, 14), b"How do you do?")


class UdpEcho(ExampleTest):
    def test_client_and_server(self):
        _, port = self.serve("udp_echo_server")
        for message in "How do you do?", "":
            client = self.start(example("udp_echo_client"), str(port), message)
            code, out, _ = client.finish()
            self.assertEqual((code, out.decode()),
                             (0, f"sent: {message}\nreceived: {message}\nclosed\n"))

    def test_nobody_is_at_the_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        code, out, _ = self.start(example("udp_echo_client"), str(port), "Hello?").finish()
        self.assertEqual((code, out), (0, b"sent: Hello?\nerror: Connection refused\nclosed\n"))

    def test_every_datagram_is_answered_alone(self):
        _, port = self.serve("udp_echo_server")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", port))
            datagrams = [b"", b"a", b"x" * 65507, *(str(i).encode() for i in range(20))]
            for datagram in datagrams:
                client.send(datagram)
            self.assertEqual([client.recv(65536) for _ in datagrams], datagrams)


class Subprocesses(ExampleTest):
    def run_example(self, name, *arguments):
        code, out, _ = self.start(example(name), *arguments).finish()
        return code, out.decode()

    def test_date(self):
        self.assertEqual(self.run_example("subprocess_date", "+the format"),
                         (0, "date says: the format\n"))

    def test_date_that_complains(self):
        code, out = self.run_example("subprocess_date", "nonsense")
        self.assertEqual(code, 1)
        self.assertRegex(out, "^date says: date: ")

    def test_interactive(self):
        self.assertEqual(self.run_example("subprocess_interactive", "6 * 7", "1 + 1"),
                         (0, "6 * 7 = 42\n1 + 1 = 2\nthe calculator exited with 0\n"))

    def test_interactive_child_that_gives_up(self):
        code, out, error = self.start(example("subprocess_interactive"), "2 + 2", "1 / 0",
                                      "3").finish()
        self.assertNotEqual(code, 0)
        self.assertEqual(out.decode(), f"2 + 2 = 4\nthe calculator exited with {code}\n")
        self.assertIn("division", error)

    def test_interactive_without_a_question(self):
        self.assertEqual(self.run_example("subprocess_interactive"),
                         (0, "the calculator exited with 0\n"))


class OpenSocket(ExampleTest):
    def test_receives_over_a_socket_that_was_open(self):
        code, out, _ = self.start(example("open_socket_client")).finish()
        self.assertEqual((code, out), (0, b"received: abc\n"))


class Chat(ExampleTest):
    def member(self, port):
        """A member that the server knows of; returns its connection and its name."""
        connection = self.client(port)
        host, number = connection.getsockname()
        return connection, f"{host}:{number}".encode()

    def test_a_line_goes_to_all_others(self):
        _, port = self.serve("chat_server")
        ann, ann_name = self.member(port)
        self.expect_answer(ann)
        bob, bob_name = self.member(port)
        self.expect(ann, bob_name + b" came\n")
        bob.sendall(b"hel")
        bob.sendall(b"lo\nall\n")
        self.expect(ann, bob_name + b": hello\n" + bob_name + b": all\n")
        ann.sendall(b"hi\n")
        self.expect(bob, ann_name + b": hi\n")
        bob.close()
        self.expect(ann, bob_name + b" went\n")

    def test_a_reader_who_never_reads_costs_nothing(self):
        server, port = self.serve("chat_server")
        speaker, speaker_name = self.member(port)
        self.expect_answer(speaker)
        listener, listener_name = self.member(port)
        self.expect(speaker, listener_name + b" came\n")
        sleeper, sleeper_name = self.member(port)
        for connection in speaker, listener:
            self.expect(connection, sleeper_name + b" came\n")

        before = self.memory(server.pid)
        line = b"x" * 1000 + b"\n"
        block = line * 64
        answer = (speaker_name + b": " + line) * 64
        sleeper_went = False
        for _ in range(32 * MIB // len(block)):
            speaker.sendall(block)
            # The one who reads gets all of it, whatever becomes of the other one.
            data = receive_exactly(listener, len(answer))
            note = sleeper_name + b" went\n"
            if note in data:
                sleeper_went = True
                data = data.replace(note, b"") + receive_exactly(listener, len(note))
            self.assertTrue(data == answer)
        self.assertTrue(sleeper_went)
        if not self.is_sanitized(server.pid):
            self.assertLess(self.memory(server.pid) - before, 8 * MIB)

    def test_a_line_that_never_ends_costs_nothing(self):
        _, port = self.serve("chat_server")
        speaker, _ = self.member(port)
        try:
            fill(speaker, 32 * MIB)
            self.assertEqual(receive_all(speaker), b"")
        except ConnectionError:
            pass  # cut off, which is the point

    def expect(self, connection, data):
        self.assertEqual(receive_exactly(connection, len(data)), data)

    def expect_answer(self, connection):
        """The server has no greeting: a second member's coming and going shows it is there."""
        with socket.create_connection(connection.getpeername(), timeout=DEADLINE) as other:
            host, port = other.getsockname()
            self.expect(connection, f"{host}:{port} came\n".encode())
        self.expect(connection, f"{host}:{port} went\n".encode())

    def memory(self, pid):
        """What the process holds in memory, in bytes."""
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def is_sanitized(self, pid):
        """Sanitizers keep freed memory for a while."""
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        return "libasan" in maps or "libtsan" in maps


if __name__ == "__main__":
    unittest.main()
