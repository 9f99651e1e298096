#!/usr/bin/env python3
"""The examples of TLS do what their first line says."""

import pathlib
import smtplib
import ssl
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tool"))
from programs import DEADLINE, MIB, ProgramTest, example, receive_all, receive_exactly, round_trip


class TlsExampleTest(ProgramTest):
    def setUp(self):
        self.directory = self.certificates()

    def file(self, name):
        return str(self.directory / name)

    def serve(self, name, *arguments):
        """Starts an example that serves on a free port; returns the port."""
        line = self.start(example(name), *arguments, "0").line()
        self.assertRegex(line, r" on 127\.0\.0\.1:[1-9][0-9]*$")
        return int(line.rpartition(":")[2])

    def trusting(self):
        return ssl.create_default_context(cafile=self.file("ca.pem"))


class Echo(TlsExampleTest):
    def test_client_and_server(self):
        port = self.serve("tls_echo_server", self.file("server.pem"), self.file("server.key"))
        client = self.start(example("tls_echo_client"), self.file("ca.pem"), str(port), "How do you do?")
        code, out, err = client.finish()
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out.decode(), r"^connected: TLSv1\.3, .*CN=localhost.*\n"
                                       r"received: How do you do\?\n$")

    def test_client_trusts_nobody_else(self):
        port = self.serve("tls_echo_server", self.file("server.pem"), self.file("server.key"))
        code, out, err = self.start(example("tls_echo_client"), self.file("stranger.pem"),
                                    str(port)).finish()
        self.assertEqual((code, out), (1, b""))
        self.assertRegex(err, "^not trusted: cannot trust the peer to be localhost: .*\n$")

    def test_client_notices_a_stream_that_was_cut_off(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("server.pem"), self.file("server.key"))

        def cut_off(connection):
            with context.wrap_socket(connection, server_side=True) as secure:
                receive_exactly(secure, 5)

        code, out, _ = self.start(example("tls_echo_client"), self.file("ca.pem"),
                                  str(self.peer(cut_off)), "Hello").finish()
        self.assertEqual(code, 0)
        self.assertIn("cut off: this may not be all\n", out.decode())

    def test_files_that_are_missing(self):
        code, _, err = self.start(example("tls_echo_server"), "/missing", "/missing").finish()
        self.assertEqual(code, 1)
        self.assertIn('cannot read "/missing": No such file or directory', err)

    def test_server_sends_megabytes_back(self):
        port = self.serve("tls_echo_server", self.file("server.pem"), self.file("server.key"))
        connection = self.tls_client(port, self.trusting())
        data = bytes(range(256)) * (4 * MIB // 256)
        self.assertTrue(round_trip(connection, data) == data)


class StartTls(TlsExampleTest):
    def setUp(self):
        super().setUp()
        self.port = self.serve("starttls_server", self.file("server.pem"), self.file("server.key"))

    def test_a_mail_client(self):
        with smtplib.SMTP("localhost", self.port, timeout=DEADLINE) as client:
            client.ehlo()
            self.assertTrue(client.has_extn("starttls"))
            self.assertEqual(client.noop(), (250, b"everybody could hear that"))
            client.starttls(context=self.trusting())
            client.ehlo()
            self.assertFalse(client.has_extn("starttls"))
            self.assertEqual(client.noop(), (250, b"nobody overheard that"))
            self.assertEqual(client.docmd("STARTTLS")[0], 502)
            self.assertEqual(client.quit(), (221, b"goodbye"))

    def test_what_comes_along_in_the_clear_is_no_command(self):
        connection = self.client(self.port)
        connection.sendall(b"STARTTLS\r\nNOOP\r\n")
        try:
            said = receive_all(connection)
        except ConnectionResetError:
            return
        self.assertNotIn(b"go ahead", said)

    def test_a_client_that_goes_on_in_the_clear(self):
        connection = self.client(self.port)
        connection.sendall(b"STARTTLS\r\n")
        self.assertEqual(receive_exactly(connection, 32), b"220 weir.example\r\n220 go ahead\r\n")
        connection.sendall(b"NOOP\r\n")
        try:
            said = receive_all(connection)
        except ConnectionResetError:
            return
        self.assertNotIn(b"250", said)


class Sites(TlsExampleTest):
    def setUp(self):
        super().setUp()
        self.port = self.serve("tls_sites_server", str(self.directory))

    def visit(self, context, name="localhost", session=None):
        """What the site says, and the connection as it was."""
        connection = context.wrap_socket(self.client(self.port), server_hostname=name,
                                         session=session)
        self.addCleanup(connection.close)
        return receive_all(connection).decode().splitlines(), connection

    def test_tells_sites_apart_by_name(self):
        for name, expected in (("localhost", "localhost"), ("other.example", "other.example"),
                               ("www.other.example", "other.example")):
            with self.subTest(name):
                _, connection = self.visit(self.trusting(), name)
                names = [value for _, value in connection.getpeercert()["subjectAltName"]]
                self.assertIn(expected, names)

    def test_knows_its_client(self):
        said, _ = self.visit(self.trusting())
        self.assertEqual(said[:2], ["you are unknown", "we speak what we like"])
        context = self.trusting()
        context.load_cert_chain(self.file("client.pem"), self.file("client.key"))
        context.set_alpn_protocols(["sites/1", "sites/2"])
        said, connection = self.visit(context)
        self.assertRegex(said[0], "^you are .*CN=a client")
        self.assertEqual(said[1:], ["we speak sites/2", f"nobody breaks {connection.cipher()[0]}"])

    def test_resumes_a_session(self):
        context = self.trusting()
        said, connection = self.visit(context)
        self.assertNotIn("welcome back", said)
        said, _ = self.visit(context, session=connection.session)
        self.assertIn("welcome back", said)

    def test_logs_keys(self):
        self.visit(self.trusting())
        self.assertIn("SERVER_TRAFFIC_SECRET_0", (self.directory / "keys.log").read_text())


if __name__ == "__main__":
    unittest.main()
