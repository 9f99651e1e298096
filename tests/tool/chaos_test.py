#!/usr/bin/env python3
"""weir chaos: faults delay bytes, cut them up or end the connection, and nothing else."""

import os
import socket
import threading
import time
import unittest

from programs import (DEADLINE, MIB, SIGINT, SIGTERM, ProgramTest, exchange, fill, receive_all,
                      receive_exactly, resident_bytes)

ANY_PORT = "tcp://127.0.0.1:0"


def receive_until_reset(connection):
    """What comes before the connection is reset; fails if it ends in any other way."""
    data = b""
    try:
        while piece := connection.recv(1 << 18):
            data += piece
    except ConnectionResetError:
        return data
    raise AssertionError(f"a regular end after {len(data)} bytes")


class ChaosTest(ProgramTest):
    def chaos(self, target, *options, listen=ANY_PORT):
        """Starts `weir chaos`; returns the program and its real URL."""
        program, [url] = self.serve("chaos", listen, target, *options)
        self.seed_line = program.error_line()
        return program, url

    def chaos_of_echo(self, *options):
        return self.chaos(self.serve_echo()[1][0], *options)

    def url_of_peer(self, serve):
        return f"tcp://127.0.0.1:{self.peer(serve)}"

    def stop(self, program):
        """Ends it; returns its standard error, without the line of the seed."""
        program.signal(SIGTERM)
        code, out, err = program.finish()
        self.assertEqual((code, out), (0, b""))
        return err

    def check_echo(self, size, *options):
        """That all comes back as it was sent; returns what the program said."""
        data = os.urandom(size)
        program, url = self.chaos_of_echo(*options)
        self.assertTrue(exchange(self.client_of(url), data) == data)
        return self.stop(program)


class Delays(ChaosTest):
    def test_without_faults_it_is_a_relay(self):
        self.assertRegex(self.check_echo(16 * MIB),
                         r"\Arelayed 1 connection: 16 MiB to the target, 16 MiB back, in .*; 0 resets, "
                         r"0 stalls and 0 partitions\n\Z")

    def test_every_fault_that_delays_keeps_bytes_and_their_order(self):
        for size, options in [(MIB, ["--latency", "30ms", "--jitter", "50ms"]),
                              (2 * MIB, ["--rate", "4MiB"]),
                              (100_000, ["--segments", "1"]),
                              (MIB, ["--segments", "100"]),
                              (MIB, ["--stall", "0.02", "--stall-for", "20ms"]),
                              (MIB, ["--latency", "5ms", "--back", "jitter=20ms,segments=1000,stall=0.01",
                                     "--stall-for", "10ms", "--forward", "rate=8MiB"])]:
            with self.subTest(options):
                self.check_echo(size, *options)

    def test_more_than_it_holds_passes_through_latency(self):
        self.check_echo(24 * MIB, "--latency", "20ms")

    def test_between_sockets_of_every_kind(self):
        for kind, listen in self.socket_urls().items():
            for target_kind, echo in self.socket_urls().items():
                with self.subTest(f"{kind} to {target_kind}"):
                    _, [target] = self.serve_echo(urls=[echo])
                    program, url = self.chaos(target, "--segments", "999", "--latency", "1ms", listen=listen)
                    data = os.urandom(100_000)
                    self.assertTrue(exchange(self.client_of(url), data) == data)
                    self.stop(program)

    def test_what_is_late_is_no_earlier(self):
        _, url = self.chaos_of_echo("--forward", "latency=200ms", "--back", "latency=100ms")
        begin = time.monotonic()
        self.assertEqual(exchange(self.client_of(url), b"hello"), b"hello")
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)

    def test_a_rate_is_not_exceeded(self):
        begin = time.monotonic()
        self.check_echo(60_000, "--forward", "rate=100KiB")
        self.assertGreater(time.monotonic() - begin, 0.4)

    def test_pieces_arrive_one_by_one(self):
        # A rate keeps the kernel from joining them again: each has its own time.
        _, url = self.chaos_of_echo("--back", "segments=3,rate=100")
        connection = self.client_of(url)
        connection.sendall(b"0123456789")
        pieces = [connection.recv(100)]
        while sum(map(len, pieces)) < 10:
            pieces.append(connection.recv(100))
        self.assertEqual(b"".join(pieces), b"0123456789")
        self.assertGreater(len(pieces), 1)


class Ends(ChaosTest):
    def test_the_end_of_a_direction_waits_behind_its_bytes(self):
        _, url = self.chaos(self.url_of_peer(
            lambda connection: connection.sendall(b"got " + receive_all(connection))),
            "--latency", "20ms", "--jitter", "20ms", "--segments", "2")
        self.assertEqual(exchange(self.client_of(url), b"all of it"), b"got all of it")

    def test_the_end_of_the_target_ends_only_its_direction(self):
        received = []

        def end_first(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            received.append(receive_all(connection))

        program, url = self.chaos(self.url_of_peer(end_first), "--latency", "20ms")
        connection = self.client_of(url)
        self.assertEqual(receive_all(connection), b"bye")
        connection.sendall(b"one more thing")
        connection.close()
        self.stop(program)
        self.doCleanups()  # joins the peer
        self.assertEqual(received, [b"one more thing"])

    def test_a_client_that_is_lost_is_a_reset_for_the_target(self):
        outcome = []

        def wait_for_the_reset(connection):
            connection.sendall(b"x")
            outcome.append(receive_until_reset(connection))

        program, url = self.chaos(self.url_of_peer(wait_for_the_reset), "--latency", "10ms")
        connection = self.client_of(url)
        connection.sendall(b"last words")
        self.assertEqual(receive_exactly(connection, 1), b"x")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        self.assertRegex(self.stop(program), r"connection 1 from 127\.0\.0\.1:\d+: its peer: Connection reset")
        self.doCleanups()
        # Its own kernel drops bytes before the reset if nobody has read them.
        self.assertIn(outcome, ([b"last words"], [b""]))

    def test_a_target_that_refuses_costs_one_connection(self):
        program, url = self.chaos("unix:/nowhere/at-all", "--latency", "10ms")
        for _ in range(2):
            self.assertEqual(receive_all(self.client_of(url)), b"")
        self.assertIn("relayed 2 connections: 0 B", self.stop(program))


class Resets(ChaosTest):
    def test_at_a_byte_on_the_way_back(self):
        program, url = self.chaos_of_echo("--back", "reset-at=4096")
        connection = self.client_of(url)
        data = os.urandom(4096)
        connection.sendall(data)
        received = receive_until_reset(connection)
        self.assertTrue(data.startswith(received), "what came before the reset is right")
        self.assertRegex(self.stop(program),
                         r"\Aconnection 1 from 127\.0\.0\.1:\d+: reset back after 4,096 bytes\n"
                         r"relayed 1 connection: 4 KiB to the target, 4 KiB back, in .*; 1 reset, ")

    def test_at_a_byte_on_the_way_to_the_target(self):
        outcome, ended = [], threading.Event()

        def wait_for_the_reset(connection):
            outcome.append(receive_until_reset(connection))
            ended.set()

        _, url = self.chaos(self.url_of_peer(wait_for_the_reset), "--forward", "reset-at=1000")
        connection = self.client_of(url)
        connection.sendall(b"." * 5000)
        self.assertEqual(receive_until_reset(connection), b"")
        self.assertTrue(ended.wait(DEADLINE))
        self.assertLessEqual(len(outcome[0]), 1000)

    def test_at_a_time_while_nothing_moves(self):
        program, url = self.chaos_of_echo("--do", "at 100ms reset")
        self.assertEqual(receive_until_reset(self.client_of(url)), b"")
        self.assertIn("reset forward after 0 bytes\n", self.stop(program))

    def test_at_random(self):
        program, url = self.chaos_of_echo("--reset", "1", "--seed", "1")
        connection = self.client_of(url)
        connection.sendall(b"." * 100_000)
        self.assertLess(len(receive_until_reset(connection)), 100_000)
        self.stop(program)

    def test_of_a_unix_socket_is_an_end(self):
        listen = f"unix:{self.temporary_directory() / 'socket'}"
        program, url = self.chaos(self.serve_echo()[1][0], "--back", "reset-at=5", listen=listen)
        connection = self.client_of(url)
        connection.sendall(b"0123456789")
        try:
            self.assertEqual(receive_all(connection), b"01234")
        except ConnectionResetError:
            pass  # the kernel does say so if something it was sent was not read
        self.assertIn(": reset back after 5 bytes\n", self.stop(program))


class Scripts(ChaosTest):
    def script(self, text):
        path = self.temporary_directory() / "script"
        path.write_text(text)
        return str(path)

    def test_a_partition_of_one_direction_heals(self):
        began, received = time.monotonic(), []

        def greet(connection):
            connection.sendall(b"hello")
            received.append(receive_exactly(connection, 5))
            received.append(time.monotonic() - began)

        program, url = self.chaos(self.url_of_peer(greet), "--script",
                                  self.script("# one way\n\nat 0s partition forward for 1s\n"))
        connection = self.client_of(url)
        connection.sendall(b"ahead")
        self.assertEqual(receive_exactly(connection, 5), b"hello")  # the way back is open
        self.assertEqual(receive_all(connection), b"")  # it has got what it waited for
        connection.close()
        self.assertRegex(self.stop(program),
                         r"\Aconnection 1 from \S+: partition of 1\.00 s forward after 0 bytes\n"
                         r"relayed 1 connection: 5 B to the target, 5 B back, in .*; 0 resets, 0 stalls "
                         r"and 1 partition\n\Z")
        self.doCleanups()
        self.assertEqual(received[0], b"ahead")
        self.assertGreaterEqual(received[1], 1)

    def test_a_line_of_one_connection(self):
        program, url = self.chaos_of_echo("--script", self.script("connection 2: reset back after 3\n"))
        self.assertEqual(exchange(self.client_of(url), b"hello"), b"hello")
        second = self.client_of(url)
        second.sendall(b"hello")
        self.assertIn(receive_until_reset(second), (b"hel", b""))
        self.assertRegex(self.stop(program), r"\Aconnection 2 from \S+: reset back after 3 bytes\n")

    def test_faults_change_with_time(self):
        _, url = self.chaos_of_echo("--rate", "1", "--script", self.script("at 100ms rate 0\n"))
        self.assertEqual(exchange(self.client_of(url), b"." * 1000), b"." * 1000)  # not in 1000 s

    def test_bad_lines_are_refused_with_their_number(self):
        path = self.script("at 2s latency 5ms\n\n# fine so far\nat 2s partition sideways for 1s\n")
        self.assertEqual(self.run_tool("chaos", ANY_PORT, ANY_PORT[:-1] + "1", "--script", path),
                         (2, "", f"weir: {path}:4: no 'for' after 'partition'; write 'partition forward for "
                                 "3s'\n"))

    def test_a_script_that_is_not_there(self):
        self.assertEqual(self.run_tool("chaos", ANY_PORT, ANY_PORT[:-1] + "1", "--script", "/nowhere/script"),
                         (1, "", "weir: cannot read '/nowhere/script': No such file or directory; give --script "
                                 "a file of yours\n"))


class Seeds(ChaosTest):
    def faults_with(self, *options):
        """What the program says of one transfer, without what differs anyway."""
        program, url = self.chaos(self.echo, "--stall", "0.2", "--stall-for", "5ms", "--back",
                                  "reset-at=100000,reset=0.005", *options)
        connection = self.client_of(url)
        connection.sendall(b"." * 200_000)  # the kernel takes it all
        receive_until_reset(connection)
        lines = self.stop(program).splitlines()
        return [line.partition(": ")[2] for line in lines if " back " in line and "relayed" not in line]

    def setUp(self):
        _, [self.echo] = self.serve_echo()

    def test_the_same_seed_does_the_same(self):
        first, again = self.faults_with("--seed", "7"), self.faults_with("--seed", "7")
        self.assertEqual(self.seed_line, "seed 7")
        self.assertGreater(len(first), 1)
        self.assertEqual(first, again)
        self.assertNotEqual(first, self.faults_with("--seed", "8"))

    def test_a_seed_that_was_drawn_is_told_and_can_be_given(self):
        drawn = self.faults_with()
        self.assertEqual(drawn, self.faults_with("--seed", self.seed_line.removeprefix("seed ")))


# Of 512 MiB that are offered; far more than it takes, since a sanitizer takes some times that.
MOST_MEMORY = 64 * MIB


class Bounds(ChaosTest):
    def offer(self, *options):
        """What a client can send although nothing comes out; returns that, and the memory it took."""
        stopped = threading.Event()
        program, url = self.chaos(self.url_of_peer(lambda connection: stopped.wait(DEADLINE)), *options)
        before = resident_bytes(program.pid)
        connection = self.client_of(url)
        offered = fill(connection, 512 * MIB)
        grown = resident_bytes(program.pid) - before
        stopped.set()
        program.kill()
        return offered, grown

    def test_memory_while_the_target_does_not_read(self):
        offered, grown = self.offer()
        self.assertLess(offered, 512 * MIB)
        self.assertGreater(offered, 4 * MIB)
        self.assertLess(grown, MOST_MEMORY)

    def test_memory_while_all_is_late(self):
        offered, grown = self.offer("--forward", "latency=1min")
        self.assertLess(offered, 512 * MIB)
        self.assertGreater(offered, 4 * MIB)
        self.assertLess(grown, MOST_MEMORY)


class Stopping(ChaosTest):
    def test_exits_with_0_on_both_signals(self):
        for signal in SIGINT, SIGTERM:
            with self.subTest(signal):
                program, _ = self.chaos_of_echo()
                program.signal(signal)
                self.assertEqual(program.finish()[0], 0)

    def test_lets_connections_finish(self):
        program, url = self.chaos_of_echo("--latency", "10ms", "--grace", "600")
        connection = self.client_of(url)
        connection.sendall(b"hello")
        self.assertEqual(receive_exactly(connection, 5), b"hello")
        program.signal(SIGTERM)
        self.assertIn("stopping: 1 connection is open", program.error_line())
        self.assertEqual(exchange(connection, b"still here"), b"still here")
        self.assertEqual(program.finish()[0], 0)

    def test_what_it_still_holds_in_the_end_is_no_regular_end(self):
        for signals, grace in (1, "0.1"), (2, "600"):
            with self.subTest(signals):
                sent = threading.Event()

                def send(connection):
                    connection.sendall(b"never delivered")
                    connection.shutdown(socket.SHUT_WR)
                    sent.set()
                    self.assertRaises(ConnectionResetError, connection.recv, 1)

                program, url = self.chaos(self.url_of_peer(send), "--back", "latency=60min", "--grace",
                                          grace)
                connection = self.client_of(url)
                self.assertTrue(sent.wait(DEADLINE))
                program.signal(SIGTERM)
                self.assertIn("stopping: ", program.error_line())
                if signals == 2:
                    program.signal(SIGTERM)
                self.assertEqual(receive_until_reset(connection), b"")
                self.assertEqual(program.finish()[0], 0)


if __name__ == "__main__":
    unittest.main()
