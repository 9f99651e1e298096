#!/usr/bin/env python3
"""The examples of what a loop does besides connections do what their first line says."""

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


if __name__ == "__main__":
    unittest.main()
