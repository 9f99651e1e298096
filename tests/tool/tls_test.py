#!/usr/bin/env python3
"""tls:// in every command of the tool."""

import hashlib
import os
import re
import socket
import ssl
import unittest

from programs import MIB, SIGTERM, ProgramTest, port_of, receive_exactly, round_trip, tool


class TlsTest(ProgramTest):
    def setUp(self):
        self.directory = self.certificates()

    def trusting(self, ca="ca.pem"):
        return ssl.create_default_context(cafile=str(self.directory / ca))

    def own(self, name="server"):
        """The part of a URL that says who an end is."""
        return f"cert={self.directory / name}.pem&key={self.directory / name}.key"

    def serve_tls(self, name="server", more=""):
        """Starts `weir echo`, returns its URL without a query."""
        _, [url] = self.serve_echo(urls=[f"tls://127.0.0.1:0?{self.own(name)}{more}"])
        return url

    def connect(self, url, query="", data=b"hello"):
        """Runs `weir connect` with some input; returns (exit code, output, standard error)."""
        path = self.temporary_directory() / "input"
        path.write_bytes(data)
        with path.open("rb") as file:
            return self.start(tool(), "connect", url + query, "--linger", "0.3",
                              stdin=file).finish()


class Serving(TlsTest):
    def test_echoes_what_a_client_sends(self):
        connection = self.tls_client(port_of(self.serve_tls()), self.trusting())
        data = os.urandom(MIB)
        self.assertTrue(round_trip(connection, data) == data)
        connection.unwrap()  # its goodbye is answered

    def test_agrees_on_a_protocol(self):
        context = self.trusting()
        context.set_alpn_protocols(["http/1.1", "h2"])
        connection = self.tls_client(port_of(self.serve_tls(more="&alpn=h2,http/1.1")), context)
        self.assertEqual(connection.selected_alpn_protocol(), "h2")

    def test_asks_clients_for_certificates(self):
        url = self.serve_tls(more=f"&ca={self.directory / 'ca.pem'}")
        context = self.trusting()
        context.load_cert_chain(self.directory / "client.pem", self.directory / "client.key")
        connection = self.tls_client(port_of(url), context)
        self.assertEqual(round_trip(connection, b"me"), b"me")
        query = f"?ca={self.directory / 'ca.pem'}"
        self.assertEqual(self.connect(url, f"{query}&{self.own('client')}"), (0, b"hello", ""))
        code, _, err = self.connect(url, query)
        self.assertEqual(code, 1)
        self.assertRegex(err, "^weir: .* the peer refused our certificate: .*certificate required; "
                              r"is it a server of TLS 1\.2 or 1\.3\? If it asks for a certificate, add "
                              r"\?cert=FILE\n$")

    def test_makes_a_certificate_if_it_is_given_none(self):
        program, [url] = self.serve_echo(urls=["tls://localhost:0"])
        warning = program.error_line()
        self.assertIn("has no ?cert=FILE, so it shows a certificate made for this run", warning)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        shown = self.tls_client(port_of(url), context).getpeercert(binary_form=True)
        self.assertEqual(warning.rpartition(" ")[2].replace(":", "").lower(),
                         hashlib.sha256(shown).hexdigest())
        # Who is given it by another way can trust it.
        pem = self.directory / "shown.pem"
        pem.write_text(ssl.DER_cert_to_PEM_cert(shown))
        self.assertEqual(self.connect(url, f"?name=localhost&ca={pem}"), (0, b"hello", ""))

    def test_goes_on_after_a_handshake_that_fails(self):
        url = self.serve_tls()
        self.client(port_of(url)).sendall(b"GET / HTTP/1.0\r\n\r\n")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.tls_client(port_of(url), self.trusting("stranger.pem"))
        connection = self.tls_client(port_of(url), self.trusting())
        self.assertEqual(round_trip(connection, b"still here"), b"still here")

    def test_files_that_are_no_good(self):
        missing = self.directory / "missing"
        for query, message in (
                (f"cert={missing}", f'cert: cannot read "{missing}": No such file or directory'),
                (f"{self.own()}&ca={missing}",
                 f'ca: cannot read "{missing}": No such file or directory'),
                (f"cert={self.directory / 'server.pem'}&key={self.directory / 'other.key'}",
                 "key: the key in .* is not that of the first certificate in .*"),
                (f"cert={self.directory / 'server.key'}", "cert: no certificate in .*")):
            with self.subTest(query):
                url = f"tls://127.0.0.1:0?{query}"
                code, out, err = self.run_tool("echo", url)
                self.assertEqual((code, out), (1, ""))
                self.assertRegex(err, f"^weir: cannot use '{re.escape(url)}': {message}.*\n$")


class Connecting(TlsTest):
    def python_server(self, serve, name="server"):
        """A server of Python's ssl for one connection; returns its URL."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")

        def run(connection):
            with context.wrap_socket(connection, server_side=True) as secure:
                serve(secure)

        return f"tls://127.0.0.1:{self.peer(run)}"

    def test_sends_its_input_and_prints_the_answer(self):
        data = os.urandom(MIB)
        query = f"?ca={self.directory / 'ca.pem'}"
        self.assertTrue(self.connect(self.serve_tls(), query, data) == (0, data, ""))

    def test_ends_with_the_peer(self):
        def answer(connection):
            connection.sendall(b"got " + receive_exactly(connection, 5))
            connection.unwrap()

        url = self.python_server(answer)
        self.assertEqual(self.connect(url, f"?ca={self.directory / 'ca.pem'}"),
                         (0, b"got hello", ""))

    def test_says_why_it_does_not_trust(self):
        ca = f"?ca={self.directory / 'ca.pem'}"
        stranger = f"?ca={self.directory / 'stranger.pem'}"
        insecure = r"for tests add \?insecure"
        known = rf"if you know it, give it by \?ca=FILE; {insecure}"
        issuer = ("nobody who is trusted here vouches for it; if you know its issuer, give that by "
                  rf"\?ca=FILE; {insecure}")
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        renew = "it has to be renewed, or the clock of this machine is wrong"
        named = r"connect to the host it is for, or write \?name=HOST if that is meant"
        for name, query, message in (
                ("server", stranger, f"unable to get local issuer certificate; {issuer}"),
                (None, ca, f"self-signed certificate; {known}"),
                ("late", ca, f"valid until {time} UTC, .*: certificate has expired; {renew}"),
                ("other", ca, f"DNS:other.example.*: IP address mismatch; {named}"),
                ("other", ca + "&name=example.org", f"DNS:other.example.*; {named}")):
            with self.subTest(name=name, query=query):
                url = self.serve_tls(name) if name else self.serve_echo(urls=["tls://127.0.0.1:0"])[1][0]
                code, out, err = self.connect(url, query)
                self.assertEqual((code, out), (1, b""))
                self.assertRegex(err, f"^weir: cannot connect to {url}: cannot trust the peer to be "
                                      f".*{message}\n$")

    def test_can_be_told_whom_to_trust(self):
        ca = f"?ca={self.directory / 'ca.pem'}"
        for name, query in (("server", ca), ("other", ca + "&name=www.other.example"),
                            ("late", "?insecure"), ("other", "?insecure&name=example.org")):
            with self.subTest(name=name, query=query):
                self.assertEqual(self.connect(self.serve_tls(name), query), (0, b"hello", ""))

    def test_a_peer_that_speaks_no_tls(self):
        port = self.peer(lambda connection: connection.sendall(b"220 mail.example\r\n"))
        code, out, err = self.connect(f"tls://127.0.0.1:{port}")
        self.assertEqual((code, out), (1, b""))
        self.assertRegex(err, f"^weir: cannot connect to tls://127.0.0.1:{port}: the peer does not "
                              'speak TLS, it began with "220 .*\n$')

    def test_a_stream_that_was_cut_off(self):
        def cut_off(connection):
            receive_exactly(connection, 5)
            connection.sendall(b"half of the tr")
            socket.socket.shutdown(connection, socket.SHUT_WR)

        url = self.python_server(cut_off)
        self.assertEqual(
            self.connect(url, f"?ca={self.directory / 'ca.pem'}"),
            (1, b"half of the tr",
             f"weir: {url} ended without a goodbye of TLS; bytes may be missing, by accident or by "
             "somebody in between\n"))


class Relaying(TlsTest):
    def test_takes_tls_off(self):
        _, [echo] = self.serve_echo()
        _, url = self.serve_relay(f"tls://127.0.0.1:0?{self.own()}", echo)
        self.assertTrue(url.startswith("tls://"))
        connection = self.tls_client(port_of(url), self.trusting())
        data = os.urandom(MIB)
        self.assertTrue(round_trip(connection, data) == data)

    def test_a_command_gets_through_with_what_it_was_sent(self):
        path = self.directory / "upload"
        program, url = self.serve_relay(f"tls://127.0.0.1:0?{self.own()}",
                                        f"exec:cat >{path}.part && mv {path}.part {path}")
        connection = self.tls_client(port_of(url), self.trusting())
        connection.sendall(b"all of it")
        connection.unwrap().close()
        program.signal(SIGTERM)  # it ends when the command has
        self.assertEqual(program.finish()[0], 0)
        self.assertEqual(path.read_bytes(), b"all of it")

    def test_a_command_that_does_not_end_is_told_to(self):
        for command in "exec sleep 3600", "trap exit TERM; while sleep 0.05; do echo more; done":
            with self.subTest(command):
                program, url = self.serve_relay(f"tls://127.0.0.1:0?{self.own()}",
                                                f"exec:{command}", "--linger", "0.3")
                self.tls_client(port_of(url), self.trusting()).unwrap().close()
                self.assertRegex(program.error_line(),
                                 r"^weir: connection 1 from 127\.0\.0\.1:\d+: the command went on for "
                                 r"0\.3 s after the end of its input, and is told to end; --linger "
                                 r"gives it more time$")
                program.signal(SIGTERM)
                self.assertEqual(program.finish()[0], 0)

    def test_puts_tls_on(self):
        target = f"{self.serve_tls()}?ca={self.directory / 'ca.pem'}"
        program, url = self.serve_relay("tcp://127.0.0.1:0", target, "--linger", "0.3")
        connection = self.client(port_of(url))
        data = os.urandom(MIB)
        self.assertTrue(round_trip(connection, data) == data)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(1), b"")  # the target has been silent for long enough


class Measuring(TlsTest):
    def test_a_server(self):
        url = f"{self.serve_tls()}?ca={self.directory / 'ca.pem'}"
        code, out, err = self.run_tool("bench", url, "--duration", "0.2", "--size", "20000")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, "checked .* in [1-9]")

    def test_a_simulated_network(self):
        code, out, err = self.run_tool("bench", "tls://127.0.0.1:7", "--backend", "simulated",
                                       "--duration", "0.02")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, "checked .* in [1-9]")


if __name__ == "__main__":
    unittest.main()
