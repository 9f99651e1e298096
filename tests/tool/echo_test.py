#!/usr/bin/env python3
"""weir echo: sends back what it receives, until it is told to stop."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import unittest

from programs import (DEADLINE, MIB, SIGINT, SIGTERM, ProgramTest, exchange, fill, port_of,
                      receive_all, receive_exactly, threads_of, tool)


class Serving(ProgramTest):
    @unittest.skipUnless(shutil.which("nc"), "nc is not installed")
    def test_answers_netcat(self):
        _, [url] = self.serve_echo()
        done = subprocess.run(["nc", "-N", "127.0.0.1", str(port_of(url))], input=b"hello\n",
                              stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
        self.assertEqual(done.stdout, b"hello\n")

    def test_serves_several_urls(self):
        _, urls = self.serve_echo(urls=["tcp://127.0.0.1:0"] * 3)
        self.assertEqual(len(set(urls)), 3)
        for url in urls:
            connection = self.client(port_of(url))
            connection.sendall(url.encode())
            self.assertEqual(receive_exactly(connection, len(url)), url.encode())

    def test_serves_every_scheme_at_once(self):
        kinds = [*self.socket_urls().values(), "udp://127.0.0.1:0"]
        _, urls = self.serve_echo(urls=kinds)
        self.assertEqual([url.partition(":")[0] for url in urls],
                         [url.partition(":")[0] for url in kinds])
        data = os.urandom(MIB)
        for url in urls[:-1]:
            with self.subTest(url):
                self.assertTrue(exchange(self.client_of(url), data) == data)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", port_of(urls[-1])))
            for datagram in b"one", b"", b"x" * 60000:
                client.send(datagram)
                self.assertEqual(client.recv(65536), datagram)

    def test_serves_standard_input_and_output(self):
        program = self.start(tool(), "echo", "stdio:", stdin=subprocess.PIPE)
        program.process.stdin.write(b"hello")
        self.assertEqual(program.finish(), (0, b"hello", ""))  # it ends with its input

    def test_removes_the_path_of_its_socket(self):
        path = self.temporary_directory() / "socket"
        program, _ = self.serve_echo(urls=[f"unix:{path}"])
        self.assertTrue(path.is_socket())
        program.signal(SIGTERM)
        self.assertEqual(program.finish()[0], 0)
        self.assertFalse(path.exists())

    def test_serves_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        _, [url] = self.serve_echo(urls=["tcp://[::1]:0"])
        self.assertRegex(url, r"^tcp://\[::1\]:")
        connection = self.client(port_of(url), "::1")
        connection.sendall(b"six")
        self.assertEqual(receive_exactly(connection, 3), b"six")

    def test_megabytes_come_back_as_they_went(self):
        _, [url] = self.serve_echo()
        connection = self.client(port_of(url))
        sent = os.urandom(8 * MIB)

        def send():
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = receive_all(connection)
        sender.join(DEADLINE)
        self.assertEqual(len(received), len(sent))
        self.assertTrue(received == sent)

    def test_reads_no_more_from_a_client_who_does_not_read(self):
        _, [url] = self.serve_echo()
        connection = self.client(port_of(url))
        sent = fill(connection, 128 * MIB)
        self.assertLess(sent, 128 * MIB)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(len(receive_all(connection)), sent)


class Stopping(ProgramTest):
    def test_exits_at_once_without_connections(self):
        for number in SIGINT, SIGTERM:
            with self.subTest(number):
                program, _ = self.serve_echo("--grace", "600")
                program.signal(number)
                self.assertEqual(program.finish(), (0, b"", ""))

    def test_lets_connections_finish_but_accepts_no_more(self):
        program, [url] = self.serve_echo("--grace", "600")
        connection = self.connected_client(url)
        program.signal(SIGTERM)
        self.assertEqual(program.error_line(), "stopping: 1 connection is open, given 600 s to "
                                               "finish; once more ends at once")
        self.wait_until_refused(url)
        connection.sendall(b"still here")
        self.assertEqual(receive_exactly(connection, 10), b"still here")
        connection.close()
        self.assertEqual(program.finish()[::2], (0, ""))

    def test_closes_what_is_left_after_the_grace_period(self):
        program, [url] = self.serve_echo("--grace", "0.1")
        connection = self.connected_client(url)
        program.signal(SIGINT)
        self.assertEqual(receive_all(connection), b"")
        self.assertEqual(program.finish()[0], 0)

    def test_aborts_what_cannot_be_flushed(self):
        program, [url] = self.serve_echo("--grace", "0.1")
        fill(self.client(port_of(url)), 128 * MIB)
        program.signal(SIGTERM)
        self.assertEqual(program.finish()[0], 0)

    def test_a_second_signal_ends_it_at_once(self):
        program, [url] = self.serve_echo("--grace", "600")
        self.connected_client(url)
        program.signal(SIGTERM)
        self.assertIn("stopping: ", program.error_line())
        program.signal(SIGTERM)
        self.assertEqual(program.finish()[0], 0)

    def wait_until_refused(self, url):
        """The signal reaches one thread, which tells the others."""
        with self.assertRaises(ConnectionRefusedError):
            while True:
                with contextlib.suppress(ConnectionResetError):  # it waited when the last one closed
                    self.client(port_of(url)).close()

    def connected_client(self, url):
        """A client that the server is known to have accepted."""
        connection = self.client_of(url)
        connection.sendall(b"hello")
        self.assertEqual(receive_exactly(connection, 5), b"hello")
        return connection


class OnThreads(Stopping):
    """Everything that one thread does; and together."""

    def serve_echo(self, *options, urls=("tcp://127.0.0.1:0",)):
        return super().serve_echo("--threads", "3", *options, urls=urls)

    def test_serves_on_as_many_as_asked_for(self):
        program, urls = self.serve_echo(urls=list(self.socket_urls().values()))
        self.assertEqual(threads_of(program.process.pid), 3)
        data = os.urandom(MIB)
        for url in urls * 5:
            with self.subTest(url):
                self.assertTrue(exchange(self.client_of(url), data) == data)

    def test_stops_with_the_connections_of_all(self):
        path = self.temporary_directory() / "socket"
        program, urls = self.serve_echo("--grace", "600",
                                        urls=["tcp://127.0.0.1:0", f"unix:{path}"])
        connections = [self.connected_client(url) for url in urls * 20]
        program.signal(SIGTERM)
        self.assertIn("stopping: 40 are open", program.error_line())
        for connection in connections:
            connection.sendall(b"still here")
            self.assertEqual(receive_exactly(connection, 10), b"still here")
            connection.close()
        self.assertEqual(program.finish()[::2], (0, ""))
        self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
