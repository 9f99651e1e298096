#!/usr/bin/env python3
"""weir trace: what passes at connections, as a picture in each format."""

import json
import os
import threading
import unittest
import xml.etree.ElementTree

from programs import DEADLINE, MIB, SIGINT, SIGTERM, ProgramTest, receive_all, tool

SVG = "{http://www.w3.org/2000/svg}"

PICTURE = """\
                            127.0.0.1:32769                      127.0.0.1:32768
  0.00 us                   connection_made ●                    │
  0.00 us              write 6 B "hello\\n" ─┤                    │
  0.00 us                        write_eof ─┤                    │
   165 us                                   │                    ● connection_made
   168 us                                   ├────── 168 us ─────▶● data_received 6 B "hello\\n"
   168 us                                   │                    ├─ write 6 B "hello\\n"
   168 us                                   ├────── 168 us ─────▶● eof_received
   168 us                                   │                    ├ close
   168 us                                   │                    ● connection_lost
   336 us       data_received 6 B "hello\\n" ●◀───── 168 us ──────┤
   336 us                      eof_received ●◀───── 168 us ──────┤
   336 us                             close ┤                    │
   336 us                   connection_lost ●                    │
"""


class TraceTest(ProgramTest):
    def trace(self, *arguments, data=b"hello\n", **options):
        """Runs `weir trace` with that input; returns (exit code, output, standard error)."""
        path = self.temporary_directory() / "input"
        path.write_bytes(data)
        with path.open("rb") as file:
            return self.run_tool("trace", *arguments, stdin=file, **options)

    def picture(self, *arguments, **options):
        code, out, err = self.trace(*arguments, **options)
        self.assertEqual((code, err), (0, ""))
        return out

    def inside(self, *arguments, **options):
        """Of an echo server and its client on a simulated network."""
        return self.picture("--backend", "simulated", "--listen", "tcp://127.0.0.1:0", *arguments,
                            **options)


class Formats(TraceTest):
    def test_text(self):
        self.assertEqual(self.inside(env={"LC_ALL": "C.UTF-8"}), PICTURE)
        plain = self.inside("--format", "text", env={"LC_ALL": "C"})
        self.assertTrue(plain.isascii())
        self.assertEqual(len(plain.splitlines()), len(PICTURE.splitlines()))

    def test_mermaid(self):
        lines = self.inside("--format", "mermaid").splitlines()
        self.assertEqual(lines[0], "sequenceDiagram")
        self.assertEqual(lines[1:3], ["  participant p1 as 127.0.0.1:32769",
                                      "  participant p2 as 127.0.0.1:32768"])
        for line in lines[3:]:
            self.assertRegex(line, r"^  (Note over p[12]|p[12]->>p[12]): [\d.]+ [um]?s [^;#]*(#\d+;[^;#]*)*$")
        self.assertIn("  p1->>p2: 168 us data_received 6 B #34;hello#92;n#34;, after 168 us", lines)

    def test_svg(self):
        path = self.temporary_directory() / "picture.svg"
        self.assertEqual(self.inside("--format", "svg", "--output", str(path)), "")
        root = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual(root.tag, SVG + "svg")
        self.assertEqual({element.tag.removeprefix(SVG) for element in root.iter()},
                         {"svg", "style", "defs", "marker", "path", "rect", "circle", "line", "text"})
        words = ["".join(text.itertext()) for text in root.iter(SVG + "text")]
        self.assertIn('write 6 B "hello\\n"', words)
        slanted = [line for line in root.iter(SVG + "line") if line.get("y1") != line.get("y2")
                   and line.get("class") == "arrow"]
        self.assertEqual(len(slanted), 4)

    def test_perfetto(self):
        events = json.loads(self.inside("--format", "perfetto"))["traceEvents"]
        slices = [event for event in events if event["ph"] == "X"]
        self.assertEqual([event["name"] for event in slices[:3]],
                         ["connection_made", "write 6 B", "write_eof"])
        for event in slices:
            self.assertGreater(event["dur"], 0)
            self.assertGreaterEqual(event["ts"], 0)
        begun = {event["id"]: event for event in events if event["ph"] == "s"}
        ended = {event["id"]: event for event in events if event["ph"] == "f"}
        self.assertEqual(len(begun), 4)
        self.assertEqual(begun.keys(), ended.keys())
        for number, event in begun.items():
            self.assertLess(event["ts"], ended[number]["ts"])
            self.assertNotEqual(event["tid"], ended[number]["tid"])
        tids = {event["tid"] for event in slices}
        named = {event["tid"] for event in events if event["name"] == "thread_name"}
        self.assertEqual(tids, named)

    def test_any_bytes(self):
        data = bytes(range(256)) + b'</text>";end\x1b[2J'
        for piece in (data[start:start + 16] for start in range(0, len(data), 16)):
            with self.subTest(piece):
                json.loads(self.inside("--format", "perfetto", data=piece))
                xml.etree.ElementTree.fromstring(self.inside("--format", "svg", data=piece))
                for name in "text", "mermaid":
                    picture = self.inside("--format", name, data=piece)
                    self.assertTrue(picture.replace("\n", "").isprintable())


class Endpoints(TraceTest):
    def test_both_ends_of_every_socket(self):
        for kind, url in self.socket_urls().items():
            with self.subTest(kind):
                out = self.picture("--listen", url)
                self.assertRegex(out, r'├─* [\d.]+ [um]?s ─*▶● data_received 6 B "hello\\n"')
                self.assertEqual(out.count("connection_lost"), 2)

    def test_tls_in_the_clear(self):
        code, out, err = self.trace("--listen", "tls://127.0.0.1:0")
        if "built without TLS" in err:
            self.skipTest("built without TLS")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r'▶● data_received 6 B "hello\\n"')
        self.assertEqual(out.count("connection_made"), 2)
        below = self.picture("--listen", "tls://127.0.0.1:0", "--layers")
        self.assertEqual(below.count("connection_made"), 4)

    def test_a_server_outside(self):
        port = self.peer(lambda connection: connection.sendall(b"got " + receive_all(connection)))
        out = self.picture("--", f"tcp://127.0.0.1:{port}")
        self.assertIn(f"127.0.0.1:{port}", out.splitlines()[0])
        self.assertRegex(out, r'write 6 B "hello\\n" ─┤─+▶│')
        self.assertRegex(out, r'data_received 10 B "got hello\\n" ●◀─+┤')

    def test_a_command(self):
        out = self.picture("exec:tr a-z A-Z")
        self.assertRegex(out, r'pipe_data_received 6 B .*●◀─+┤')
        self.assertIn("process_exited", out)

    def test_several(self):
        server, urls = self.serve_echo(urls=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0"))
        lines = self.picture(*urls).splitlines()
        for url in urls:
            self.assertIn(url.removeprefix("tcp://"), lines[0])
        server.signal(SIGTERM)

    def test_much(self):
        out = self.picture("--listen", "tcp://127.0.0.1:0", data=os.urandom(8 * MIB))
        self.assertIn("write 8 MiB", out)
        self.assertLess(len(out.splitlines()), 2000)

    def test_nothing_to_send(self):
        out = self.inside(data=b"")
        self.assertNotIn("write ", out)
        self.assertIn("eof_received", out)


class Ends(TraceTest):
    def url_of_silent_peer(self):
        """It sets self.ended when its client has ended, and never ends itself."""
        self.ended, over = threading.Event(), threading.Event()

        def serve(connection):
            receive_all(connection)
            self.ended.set()
            over.wait(DEADLINE)

        port = self.peer(serve)
        self.addCleanup(over.set)
        return f"tcp://127.0.0.1:{port}"

    def test_by_time(self):
        out = self.picture("--for", "0.2", self.url_of_silent_peer())
        self.assertIn("write_eof", out)
        self.assertNotIn("connection_lost", out)

    def test_by_a_signal(self):
        for number in SIGINT, SIGTERM:
            program = self.start(tool(), "trace", self.url_of_silent_peer())
            self.assertTrue(self.ended.wait(DEADLINE))
            program.signal(number)
            code, out, err = program.finish()
            self.assertEqual((code, err), (0, ""))
            self.assertIn("connection_made", out.decode())


class Failures(TraceTest):
    def test_nobody_is_there(self):
        code, out, err = self.trace("unix-abstract:weir-test-nobody-listens")
        self.assertEqual((code, out), (1, "nothing happened\n"))
        self.assertEqual(err, "weir: cannot connect to unix-abstract:weir-test-nobody-listens: "
                              "Connection refused; start a server there first, e.g. weir echo\n")

    def test_one_of_two_is_there(self):
        _, [url] = self.serve_echo()
        code, out, err = self.trace("unix-abstract:weir-test-nobody-listens", url)
        self.assertEqual(code, 1)
        self.assertRegex(err, "^weir: cannot connect to unix-abstract:.*\n$")
        self.assertIn("data_received", out)

    def test_a_file_that_cannot_be_written(self):
        path = self.temporary_directory() / "missing" / "picture"
        code, _, err = self.trace("--listen", "tcp://127.0.0.1:0", "--output", str(path))
        self.assertEqual((code, err), (1, f"weir: cannot write '{path}': No such file or directory; "
                                          "give --output a path in a directory of yours\n"))


if __name__ == "__main__":
    unittest.main()
