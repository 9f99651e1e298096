#!/usr/bin/env python3
"""weir relay: any stream to any other, byte for byte, and never more in between than it has to."""

import hashlib
import os
import socket
import subprocess
import threading
import unittest

from programs import (DEADLINE, MIB, SIGINT, SIGTERM, ProgramTest, exchange, fill, on_a_terminal,
                      port_of, receive_all, receive_exactly, resident_bytes, tool)

ANY_PORT = "tcp://127.0.0.1:0"


class RelayTest(ProgramTest):
    def echo_url(self):
        return self.serve_echo()[1][0]

    def url_of_peer(self, serve):
        return f"tcp://127.0.0.1:{self.peer(serve)}"

    def talking_client(self, url):
        """A client that is known to be relayed to an echo server."""
        connection = self.client_of(url)
        connection.sendall(b"hello")
        self.assertEqual(receive_exactly(connection, 5), b"hello")
        return connection

    def stop(self, program):
        """Ends the relay; returns its standard error."""
        program.signal(SIGTERM)
        code, out, err = program.finish()
        self.assertEqual((code, out), (0, b""))
        return err


class EveryEndpoint(RelayTest):
    def test_from_any_socket_to_any_other(self):
        data = os.urandom(MIB)
        for kind, listen in self.socket_urls().items():
            for target_kind, echo in self.socket_urls().items():
                with self.subTest(f"{kind} to {target_kind}"):
                    _, [target] = self.serve_echo(urls=[echo])
                    program, url = self.serve_relay(listen, target)
                    self.assertTrue(exchange(self.client_of(url), data) == data)
                    self.assertRegex(self.stop(program),
                                     "relayed 1 connection: 1 MiB to the target, 1 MiB back, in ")

    def test_64_mib_arrive_with_the_same_checksum(self):
        size = 64 * MIB
        block = os.urandom(MIB)
        received = []

        def digest(connection):
            sha = hashlib.sha256()
            while piece := connection.recv(1 << 18):
                sha.update(piece)
            received.append(sha.hexdigest())
            connection.sendall(b"got it")

        program, url = self.serve_relay(ANY_PORT, self.url_of_peer(digest))
        connection = self.client_of(url)
        sha = hashlib.sha256()
        for _ in range(size // len(block)):
            connection.sendall(block)
            sha.update(block)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(connection), b"got it")
        self.assertEqual(received, [sha.hexdigest()])
        self.assertIn(": 64 MiB to the target, 6 B back, in ", self.stop(program))

    def test_a_command_of_its_own_for_each_connection(self):
        program, url = self.serve_relay(ANY_PORT, "exec:sort")
        first, second = self.client_of(url), self.client_of(url)
        first.sendall(b"b\n")  # both commands run at once
        self.assertEqual(exchange(second, b"2\n1\n"), b"1\n2\n")
        self.assertEqual(exchange(first, b"a\n"), b"a\nb\n")
        self.assertNotIn("weir:", self.stop(program))

    def test_megabytes_through_a_command(self):
        data = os.urandom(16 * MIB)
        _, url = self.serve_relay(ANY_PORT, "exec:cat")
        self.assertTrue(exchange(self.client_of(url), data) == data)

    def test_a_command_that_need_not_read_all(self):
        program, url = self.serve_relay(ANY_PORT, "exec:head -c 5")
        connection = self.client_of(url)
        connection.sendall(b"hello and goodbye")
        self.assertEqual(receive_all(connection), b"hello")
        self.assertNotIn("weir:", self.stop(program))

    def test_standard_streams_as_the_listener(self):
        url = self.echo_url()
        program = self.start(tool(), "relay", "stdio:", url, stdin=subprocess.PIPE)
        program.process.stdin.write(b"through")
        self.assertEqual(program.read(program.process.stdout, 7), b"through")
        code, out, err = program.finish()  # ends its input
        self.assertEqual((code, out), (0, b""))
        self.assertRegex(err, "^relayed 1 connection: 7 B to the target, 7 B back, in ")

    def test_standard_streams_as_the_target_of_one_connection(self):
        program = self.start(tool(), "relay", f"unix:{self.temporary_directory() / 'socket'}",
                             "stdio:", stdin=subprocess.PIPE)
        # Not on its output, which is the target.
        url = program.error_line().removeprefix("listening on ")
        connection = self.client_of(url)
        connection.sendall(b"in")
        self.assertEqual(program.read(program.process.stdout, 2), b"in")
        program.process.stdin.write(b"out")
        program.process.stdin.close()
        self.assertEqual(receive_all(connection), b"out")
        connection.close()
        self.assertEqual(program.process.wait(DEADLINE), 0)


class Ends(RelayTest):
    def test_the_end_of_the_client_ends_only_its_direction(self):
        _, url = self.serve_relay(ANY_PORT, self.url_of_peer(
            lambda connection: connection.sendall(b"got " + receive_all(connection))))
        self.assertEqual(exchange(self.client_of(url), b"all of it"), b"got all of it")

    def test_the_end_of_the_target_ends_only_its_direction(self):
        received = []

        def end_first(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            received.append(receive_all(connection))

        program, url = self.serve_relay(ANY_PORT, self.url_of_peer(end_first))
        connection = self.client_of(url)
        self.assertEqual(receive_all(connection), b"bye")
        connection.sendall(b"one more thing")
        connection.close()
        self.stop(program)
        self.doCleanups()  # joins the peer
        self.assertEqual(received, [b"one more thing"])

    def test_a_client_that_goes_away_takes_its_target_along(self):
        ended = threading.Event()

        def wait_for_the_end(connection):
            receive_all(connection)
            ended.set()

        program, url = self.serve_relay(ANY_PORT, self.url_of_peer(wait_for_the_end))
        connection = self.client_of(url)
        connection.sendall(b"x")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        self.assertTrue(ended.wait(DEADLINE))
        self.assertRegex(self.stop(program), r"^weir: connection 1 from 127\.0\.0\.1:\d+: its peer: "
                                             "Connection reset by peer\n")


class Failures(RelayTest):
    def test_a_target_that_refuses_costs_one_connection(self):
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        target = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        program, url = self.serve_relay(ANY_PORT, target)
        for _ in range(2):
            self.assertEqual(receive_all(self.client_of(url)), b"")
        taken.listen()
        connection = self.client_of(url)  # it lives on
        connection.sendall(b"now")
        accepted, _ = taken.accept()
        with accepted:
            self.assertEqual(receive_exactly(accepted, 3), b"now")
        connection.close()
        lines = self.stop(program).splitlines()
        for number, line in enumerate(lines[:2], 1):
            self.assertRegex(line, rf"^weir: connection {number} from 127\.0\.0\.1:\d+: cannot connect "
                                   f"to {target}: Connection refused; start a server there first")
        self.assertRegex(lines[-1], "^relayed 3 connections: 3 B to the target, 0 B back, in ")

    def test_many_failures_are_counted_and_not_told_one_by_one(self):
        program, url = self.serve_relay(ANY_PORT, "unix:/nowhere/at-all")
        for _ in range(50):
            self.assertEqual(receive_all(self.client_of(url)), b"")
        told = []
        while not told or "more failures" not in told[-1]:
            told.append(program.error_line())
        self.assertLess(len(told), 50)
        self.assertIn("cannot connect to unix:/nowhere/at-all: No such file or directory", told[0])

    def test_a_command_that_does_not_exist(self):
        program, url = self.serve_relay(ANY_PORT, "exec:there-is-no-such-command")
        for _ in range(2):
            self.assertEqual(receive_all(self.client_of(url)), b"")
        err = self.stop(program)
        self.assertIn("there-is-no-such-command: not found\n", err)  # the shell's own words
        self.assertIn("the command 'there-is-no-such-command' ended with exit code 127; the shell did "
                      "not find it, write a path or check $PATH\n", err)


class Bounds(RelayTest):
    def test_memory_while_a_reader_is_stopped(self):
        go_on = threading.Event()
        received = []

        def read_later(connection):
            go_on.wait(DEADLINE)
            received.append(len(receive_all(connection)))

        target = self.url_of_peer(read_later)
        program, url = self.serve_relay(ANY_PORT, target)
        before = resident_bytes(program.pid)
        connection = self.client_of(url)
        offered = fill(connection, 512 * MIB)
        self.assertLess(offered, 512 * MIB)  # what is in there is in the kernel
        self.assertGreater(offered, MIB)
        self.assertLess(resident_bytes(program.pid) - before, 4 * MIB)
        go_on.set()
        connection.close()
        self.stop(program)
        self.doCleanups()
        self.assertEqual(received, [offered])

    def test_max_connections_lets_the_next_ones_wait_in_order(self):
        program, url = self.serve_relay(ANY_PORT, self.echo_url(), "--max-connections", "2")
        first, second = self.talking_client(url), self.talking_client(url)
        third = self.client_of(url)
        third.sendall(b"third")
        fourth = self.client_of(url)
        fourth.sendall(b"fourth")
        for waiting in third, fourth:
            waiting.settimeout(0.2)
            self.assertRaises(TimeoutError, waiting.recv, 1)
            waiting.settimeout(DEADLINE)
        second.close()
        self.assertEqual(receive_exactly(third, 5), b"third")
        fourth.settimeout(0.2)
        self.assertRaises(TimeoutError, fourth.recv, 1)
        fourth.settimeout(DEADLINE)
        first.close()
        self.assertEqual(receive_exactly(fourth, 6), b"fourth")
        third.close()
        fourth.close()
        self.assertIn("relayed 4 connections: 21 B to the target", self.stop(program))

    def test_one_that_gave_up_waiting_is_passed_over(self):
        program, url = self.serve_relay(ANY_PORT, self.echo_url(), "--max-connections", "1")
        first = self.talking_client(url)
        impatient = self.client_of(url)
        patient = self.client_of(url)
        patient.sendall(b"here")
        impatient.close()
        first.close()
        self.assertEqual(receive_exactly(patient, 4), b"here")
        patient.close()
        self.stop(program)


class Status(RelayTest):
    def test_a_line_a_second_where_it_is_asked_for(self):
        program, url = self.serve_relay(ANY_PORT, self.echo_url(), "--status", "always")
        self.talking_client(url)
        line = ""
        while "1 open" not in line:
            line = program.error_line()
        self.assertRegex(line, r"^1 open, 1 in all   5 B to the target, 5 B back   \d.* ?B/s$")

    def test_silent_by_itself_when_it_is_no_terminal(self):
        program, url = self.serve_relay(ANY_PORT, self.echo_url())
        exchange(self.client_of(url), b"hello")
        self.assertRegex(self.stop(program), r"\A(stopping: .*\n)?relayed 1 connection: [^\n]*\n\Z")

    def test_one_line_that_changes_on_a_terminal(self):
        command = f"'{tool()}' relay {ANY_PORT} exec:cat & sleep 1.5; kill -TERM $!; wait $!"
        code, out = on_a_terminal("sh", "-c", command)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\r0 open, 0 in all   0 B to the target, 0 B back   0 B/s\x1b\[K")
        self.assertRegex(out, r"\r\x1b\[Krelayed 0 connections: ")


class Stopping(RelayTest):
    def test_exits_with_0_on_both_signals(self):
        for signal in SIGINT, SIGTERM:
            with self.subTest(signal):
                program, _ = self.serve_relay(ANY_PORT, "exec:cat")
                program.signal(signal)
                self.assertEqual(program.finish()[0], 0)

    def test_lets_connections_finish_but_accepts_no_more(self):
        program, url = self.serve_relay(ANY_PORT, self.echo_url(), "--grace", "600")
        connection = self.talking_client(url)
        program.signal(SIGTERM)
        self.assertEqual(program.error_line(), "stopping: 1 connection is open, given 600 s to "
                                               "finish; once more ends at once")
        self.assertRaises(ConnectionRefusedError, self.client, port_of(url))
        connection.sendall(b"still here")
        self.assertEqual(receive_exactly(connection, 10), b"still here")
        connection.close()
        self.assertEqual(program.finish()[0], 0)

    def test_closes_what_is_left_after_the_grace_period(self):
        for target in self.echo_url(), "exec:cat":
            with self.subTest(target):
                program, url = self.serve_relay(ANY_PORT, target, "--grace", "0.1")
                connection = self.talking_client(url)
                program.signal(SIGINT)
                self.assertEqual(receive_all(connection), b"")
                self.assertEqual(program.finish()[0], 0)

    def test_a_second_signal_ends_it_at_once(self):
        program, url = self.serve_relay(ANY_PORT, "exec:trap '' TERM; cat; sleep 600", "--grace",
                                        "600")
        self.talking_client(url)
        program.signal(SIGTERM)
        self.assertIn("stopping: ", program.error_line())
        program.signal(SIGTERM)
        self.assertEqual(program.finish()[0], 0)


if __name__ == "__main__":
    unittest.main()
