#!/usr/bin/env python3
"""The examples of what a loop does besides connections do what their first line says."""

import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tool"))
from programs import ProgramTest, example


class WatchDescriptor(ProgramTest):
    def test_receives_what_comes(self):
        code, out, _ = self.start(example("watch_descriptor")).finish()
        self.assertEqual((code, out), (0, b"received: abc\n"))


class Signals(ProgramTest):
    def test_ends_when_told(self):
        for number in signal.SIGINT, signal.SIGTERM:
            program = self.start(example("signals"))
            self.assertIn("press ctrl-C", program.line())
            self.assertRegex(program.line(), r"^pid [0-9]+: ")
            program.signal(number)
            code, out, _ = program.finish()
            self.assertEqual((code, out.decode()), (0, f"got signal {number.name}: exit\n"))


class SimulatedNetwork(ProgramTest):
    def test_is_the_same_for_the_same_seed(self):
        first, again, other = (self.start(example("simulated_network"), seed).finish()
                               for seed in ("1", "1", "2"))
        for code, out, _ in (first, again, other):
            self.assertEqual(code, 0)
            self.assertRegex(out, rb"^seed [0-9]: 2 connections, [0-9]+ bytes echoed, trace ")
        self.assertEqual(first, again)
        self.assertNotEqual(first[1][7:], other[1][7:])


class CheckedLoop(ProgramTest):
    def test_keeps_to_the_rules(self):
        self.assertEqual(self.start(example("checked_loop")).finish(),
                         (0, b"hello, by the rules\n", ""))


class Trace(ProgramTest):
    def picture(self, *arguments):
        code, out, err = self.start(example("trace"), *arguments).finish()
        self.assertEqual((code, err), (0, ""))
        return out.decode()

    def test_is_the_picture_of_the_documentation(self):
        page = pathlib.Path(__file__).parents[2] / "docs" / "trace.md"
        self.assertIn(f"```\n{self.picture()}```\n", page.read_text())

    def test_has_other_formats(self):
        self.assertTrue(self.picture("mermaid").startswith("sequenceDiagram\n"))
        self.assertTrue(self.picture("svg").startswith("<svg "))
        self.assertIn("traceEvents", json.loads(self.picture("perfetto")))


if __name__ == "__main__":
    unittest.main()
