#!/usr/bin/env python3
"""weir bench: loads an echo server, checks every byte, measures."""

import itertools
import json
import socket
import threading
import time
import unittest

from programs import DEADLINE, ProgramTest, on_a_terminal, receive_all, tool

SIMULATED = ("tcp://127.0.0.1:7", "--backend", "simulated", "--duration", "0.05")


class BenchTest(ProgramTest):
    def bench_json(self, *arguments):
        path = self.temporary_directory() / "figures.json"
        code, out, err = self.run_tool("bench", *arguments, "--json", str(path))
        self.assertEqual((code, err), (0, ""))
        return out, json.loads(path.read_text())

    def check_sums(self, figures):
        self.assertGreater(figures["requests"], 0)
        self.assertGreaterEqual(figures["bytes_checked"],
                                figures["requests"] * figures["message_bytes"])
        self.assertEqual(sum(bar["count"] for bar in figures["histogram"]), figures["requests"])
        latency = figures["latency"]
        order = [latency[name] for name in ("p50_us", "p90_us", "p99_us", "p99_9_us", "max_us")]
        self.assertEqual(order, sorted(order))
        self.assertAlmostEqual(figures["requests_per_second"] * figures["seconds"],
                               figures["requests"], delta=1)


class Measuring(BenchTest):
    def test_measures_an_echo_server(self):
        _, [url] = self.serve_echo()
        out, figures = self.bench_json(url, "--connections", "20", "--size", "3000", "--pipeline",
                                       "4", "--duration", "0.3", "--backend", "epoll")
        self.assertEqual(out.splitlines()[0], f"{url}: 20 connections x 2.9 KiB, 4 in flight on "
                                              "each, 0.3 s, epoll")
        for word in "requests/s", "MiB/s", "p50", "p90", "p99", "p99.9", "max", "%":
            self.assertIn(word, out)
        self.assertEqual(
            {name: figures[name] for name in ("url", "backend", "connections", "message_bytes",
                                              "pipeline", "error")},
            {"url": url, "backend": "epoll", "connections": 20, "message_bytes": 3000,
             "pipeline": 4, "error": None})
        self.check_sums(figures)

    def test_measures_a_simulated_network(self):
        out, figures = self.bench_json(*SIMULATED)
        self.assertIn("0.05 s of its own time, simulated", out.splitlines()[0])
        self.assertEqual(figures["backend"], "simulated")
        self.check_sums(figures)
        self.assertEqual(self.bench_json(*SIMULATED), (out, figures))  # the same, run after run

    def test_every_stream_scheme(self):
        urls = ["exec:cat"]
        for url in self.socket_urls().values():
            urls += self.serve_echo(urls=[url])[1]
        for url in urls:
            with self.subTest(url):
                _, figures = self.bench_json(url, "--connections", "5", "--duration", "0.2")
                self.assertEqual((figures["url"], figures["datagrams"]), (url, None))
                self.check_sums(figures)

    def test_a_simulated_network_of_every_kind(self):
        for url in "unix:/pretended", "unix-abstract:pretended", "udp://127.0.0.1:7":
            with self.subTest(url):
                _, figures = self.bench_json(url, "--backend", "simulated", "--duration", "0.05")
                self.check_sums(figures)

    def test_sizes_may_have_units(self):
        _, figures = self.bench_json(*SIMULATED, "--size", "64KiB")
        self.assertEqual(figures["message_bytes"], 65536)

    def test_messages_larger_than_any_buffer(self):
        _, [url] = self.serve_echo()
        for seconds in "0.3", "3", "30":  # until one came back, on whatever machine
            _, figures = self.bench_json(url, "--size", "16MiB", "--connections", "1", "--duration",
                                         seconds)
            if figures["requests"] > 0:
                break
        self.check_sums(figures)


class Datagrams(BenchTest):
    def check_counts(self, figures):
        counts = figures["datagrams"]
        self.assertEqual(counts["sent"], counts["received"] + counts["lost"])
        self.assertGreaterEqual(counts["received"], figures["requests"])
        self.assertEqual(figures["bytes_checked"],
                         (counts["received"] + counts["late"]) * figures["message_bytes"])
        self.check_sums(figures)

    def test_counts_add_up(self):
        _, [url] = self.serve_echo(urls=["udp://127.0.0.1:0"])
        for options in ("--size", "8"), ("--size", "65507", "--connections", "2"), (
                "--pipeline", "16"):
            with self.subTest(options):
                out, figures = self.bench_json(url, "--duration", "0.3", *options)
                self.assertRegex(out, r"sent +[\d,]+ = [\d,]+ received \+ [\d,]+ lost \([\d.]+ %\)")
                self.assertIn("received/s", out)
                self.check_counts(figures)

    def test_counts_add_up_with_socat(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.start("socat", f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork", "EXEC:cat")
        url = f"udp://127.0.0.1:{port}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            self.wait_for_an_echo(probe, port)
        _, figures = self.bench_json(url, "--duration", "0.5", "--connections", "4")
        self.check_counts(figures)

    def wait_for_an_echo(self, probe, port):
        probe.connect(("127.0.0.1", port))
        probe.settimeout(0.2)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                probe.send(b"?")
                if probe.recv(10) == b"?":
                    return
            except (TimeoutError, ConnectionRefusedError):
                pass
        self.fail("socat does not answer")

    def datagram_server(self, answer):
        """Sends what `answer(datagram)` returns, each of them; returns its URL."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))

        def run():
            while True:
                datagram, sender = server.recvfrom(65536)
                if datagram == b"stop":
                    return
                for one in answer(datagram):
                    server.sendto(one, sender)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"

        def stop():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", server.getsockname())
            thread.join(DEADLINE)
            server.close()

        self.addCleanup(stop)
        return url

    def test_lost_ones_are_counted_and_replaced(self):
        count = itertools.count()
        url = self.datagram_server(lambda datagram: [datagram] if next(count) % 10 else [])
        _, figures = self.bench_json(url, "--duration", "1.2", "--connections", "2")
        self.assertGreater(figures["datagrams"]["lost"], 2)  # it went on after the first ones
        self.check_counts(figures)

    def test_doubled_ones_count_once(self):
        url = self.datagram_server(lambda datagram: [datagram, datagram])
        _, figures = self.bench_json(url, "--duration", "0.2")
        self.assertGreater(figures["datagrams"]["late"], 0)
        self.check_counts(figures)

    def test_wrong_ones(self):
        for change, message in (
                (lambda data: data[:-1] + bytes([data[-1] ^ 1]), r"datagram \d+, byte 1023: received"),
                (lambda data: data[:-1], "received a datagram of 1023 bytes, sent 1024"),
                (lambda data: b"\xff" + data[1:], "received a datagram that was never sent")):
            with self.subTest(message):
                url = self.datagram_server(lambda data: [change(data)])
                code, _, err = self.run_tool("bench", url, "--duration", "5")
                self.assertEqual(code, 1)
                self.assertRegex(err, f"^weir: wrong echo from {url}: socket \\d[,:] {message}")


class Output(ProgramTest):
    def test_is_plain_when_it_is_not_a_terminal(self):
        code, out, err = self.run_tool("bench", *SIMULATED)
        self.assertEqual((code, err), (0, ""))
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\r", out)

    def test_is_ascii_in_such_a_locale(self):
        _, out, _ = self.run_tool("bench", *SIMULATED, env={"LC_ALL": "C"})
        self.assertTrue(out.isascii())
        self.assertIn("####", out)

    def test_shows_progress_and_colours_on_a_terminal(self):
        _, [url] = self.serve_echo()
        command = (tool(), "bench", url, "--duration", "0.5")
        code, out = on_a_terminal(*command, env={"TERM": "xterm", "NO_COLOR": ""})
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\r  0\.\d of 0\.5 s   [\d,]+ requests/s")
        self.assertIn("\x1b[36m", out)
        code, out = on_a_terminal(*command, env={"TERM": "xterm", "NO_COLOR": "1"})
        self.assertEqual(code, 0)
        self.assertNotIn("\x1b[36m", out)


class WrongServers(ProgramTest):
    def bench(self, serve):
        """Loads a server made of one connection; returns (port, exit code, standard error)."""
        port = self.peer(serve)
        code, _, err = self.run_tool("bench", f"tcp://127.0.0.1:{port}", "--connections", "1",
                                     "--size", "1000", "--duration", "0.2")
        return port, code, err

    def echo(self, connection, change):
        """Echoes what `change(piece, position)` makes of each piece."""
        position = 0
        while piece := connection.recv(65536):
            try:
                connection.sendall(change(piece, position))
            except ConnectionError:
                return  # the bench has seen enough
            position += len(piece)

    def test_a_wrong_byte(self):
        def change(piece, position):
            if position <= 1234 < position + len(piece):
                piece = bytearray(piece)
                piece[1234 - position] ^= 0x20
            return piece

        port, code, err = self.bench(lambda connection: self.echo(connection, change))
        self.assertEqual(code, 1)
        self.assertRegex(err, f"^weir: wrong echo from tcp://127.0.0.1:{port}: connection 0, byte "
                              r"1,234: received 0x(..), sent 0x(?!\1)..; the server has to send "
                              "back every byte\n$")

    def test_a_lost_byte(self):
        def change(piece, position):
            return piece[1:] if position == 0 else piece

        # With the next message the stream is one byte off; here there is none, so it is missed.
        _, code, err = self.bench(lambda connection: self.echo(connection, change))
        self.assertEqual(code, 1)
        self.assertRegex(err, "byte 0: received 0x..|1 bytes did not come back")

    def test_a_byte_too_many(self):
        _, code, err = self.bench(
            lambda connection: self.echo(connection, lambda piece, _: piece + b"!"))
        self.assertEqual(code, 1)
        self.assertRegex(err, "bytes more than were sent|received 0x21")

    def test_a_server_that_closes(self):
        _, code, err = self.bench(lambda connection: connection.recv(10) and None)
        self.assertEqual(code, 1)
        self.assertRegex(err, "connection 0 ended with 1000 bytes missing: ")

    def test_a_server_that_swallows_everything(self):
        _, code, err = self.bench(receive_all)
        self.assertEqual(code, 1)
        self.assertIn("1,000 bytes did not come back within 5.00 s", err)

    def test_the_figures_are_written_all_the_same(self):
        path = self.temporary_directory() / "figures.json"
        port = self.peer(lambda connection: connection.shutdown(socket.SHUT_RDWR))
        code, _, _ = self.run_tool("bench", f"tcp://127.0.0.1:{port}", "--connections", "1",
                                   "--json", str(path))
        self.assertEqual(code, 1)
        figures = json.loads(path.read_text())
        self.assertEqual((figures["requests"], figures["histogram"]), (0, []))
        self.assertIn("missing", figures["error"])



if __name__ == "__main__":
    unittest.main()
