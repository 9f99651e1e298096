#!/usr/bin/env python3
"""weir demo: shows the library at work, in a few seconds, wherever it runs."""

import re
import shutil
import time
import unittest

from programs import ProgramTest, on_a_terminal, tool

LIFE = ["connection_made", "write", "data_received", "pause_writing", "resume_writing", "write_eof",
        "data_received", "eof_received", "close", "connection_lost"]


class Demo(ProgramTest):
    def test_shows_a_life_a_server_and_numbers(self):
        began = time.monotonic()
        code, out, err = self.run_tool("demo")
        self.assertEqual((code, err), (0, ""))
        self.assertLess(time.monotonic() - began, 15)
        self.assertNotIn("\x1b", out)
        self.check_transports(out, "TCP", "Unix socket", "UDP", "pipe", "subprocess")
        self.check_tls(out)
        self.assertRegex(out, "100 clients in this process +[0-9,]+ messages")
        self.assertRegex(out, r"connections +message +in flight +requests/s")
        if shutil.which("nc") or shutil.which("socat"):
            self.assertRegex(out, r'(nc -N|socat -) .*another program: "hello, weir" came back')
        self.check_life(out)

    def test_works_on_the_simulated_network(self):
        code, out, err = self.run_tool("demo", "--backend", "simulated")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("No program outside can reach a simulated network", out)
        self.check_life(out)
        self.check_transports(out, "TCP", "Unix socket", "UDP", "pipe")
        self.check_tls(out)
        self.assertIn("There is no program to start on a simulated network.", out)
        self.assertEqual(self.run_tool("demo", "--backend", "simulated")[1], out)

    def test_says_so_when_there_is_no_program_outside(self):
        directory = self.temporary_directory()
        code, out, _ = self.run_tool("demo", env={"PATH": str(directory)})
        self.assertEqual(code, 0)
        self.assertIn("neither nc -N (netcat-openbsd) nor socat is installed", out)

    def test_does_not_trust_any_program_called_nc(self):
        directory = self.temporary_directory()
        for name in "nc", "socat":
            (directory / name).write_text("#!/bin/sh\necho something else\n")
            (directory / name).chmod(0o755)
        code, out, _ = self.run_tool("demo", env={"PATH": str(directory)})
        self.assertEqual(code, 0)
        self.assertIn("neither nc -N", out)

    def test_colours_are_for_terminals(self):
        command = (tool(), "demo", "--backend", "simulated")
        _, out = on_a_terminal(*command, env={"TERM": "xterm", "NO_COLOR": ""})
        self.assertIn("\x1b[", out)
        for quiet in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
            code, out = on_a_terminal(*command, env={"TERM": "xterm", "NO_COLOR": "", **quiet})
            self.assertEqual(code, 0)
            self.assertNotIn("\x1b", out)

    def test_fits_80_columns_and_a_locale_of_ascii(self):
        code, out, _ = self.run_tool("demo", "--backend", "simulated", env={"LC_ALL": "C"})
        self.assertEqual(code, 0)
        self.assertTrue(out.isascii())
        for line in out.splitlines():
            self.assertLess(len(line), 89, line)

    def check_transports(self, out, *kinds):
        """Each has a line, in this order, with what came out of it."""
        found = re.findall(r'(?:✓|ok) (\S.*?) +"hello, weir" .* in [\d.]+ [um]?s\n', out)
        self.assertEqual(found, list(kinds))

    def check_tls(self, out):
        """It was spoken, and a certificate that nobody vouches for was refused; or there is none."""
        if "this weir was built without TLS" in out:
            return
        self.assertRegex(out, r'echo +"hello, weir" to tls://\S+ and back, encrypted\n')
        self.assertRegex(out, r"agreed on +TLSv1\.3, TLS_\w+\n")
        self.assertRegex(out, r"again +the session was resumed")
        self.assertRegex(out, r"a stranger +refused the server: self-signed certificate\n")

    def check_life(self, out):
        """The client's side of the picture has all callbacks, in asyncio's order."""
        picture = out.partition("server protocol\n")[2].partition("\n\n")[0]
        client = [found[1] for found in map(re.compile(
            r" *[\d.]+ [um]?s +([a-z_]+)[^│]* ─*[●┤]").match, picture.splitlines()) if found]
        self.assertEqual(client[:len(LIFE)][0:3], LIFE[0:3])
        for name in LIFE:
            self.assertIn(name, client)
        self.assertEqual(client[-4:], LIFE[-4:])
        self.assertLess(client.index("pause_writing"), client.index("resume_writing"))
        self.assertEqual(client.count("connection_made"), 1)
        self.assertEqual(client.count("connection_lost"), 1)


if __name__ == "__main__":
    unittest.main()
