#!/usr/bin/env python3
"""The tutorial is true: what it says the example prints is what that prints."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tool"))
from programs import ProgramTest, example

TUTORIAL = pathlib.Path(__file__).parent.parent.parent / "docs" / "tutorial.md"


def outputs():
    """The outputs in the tutorial, by the arguments that make them."""
    found = re.findall(r"<!-- output of find_a_bug ?(\w*) -->\n```text\n(.*?)```",
                       TUTORIAL.read_text(), re.DOTALL)
    return {arguments: text for arguments, text in found}


class Tutorial(ProgramTest):
    def run_example(self, *arguments):
        code, out, err = self.start(example("find_a_bug"), *arguments).finish()
        self.assertEqual(err, "")
        return code, out.decode()

    def test_the_bug_is_found_and_drawn(self):
        code, out = self.run_example()
        self.assertEqual(code, 1)
        self.assertEqual(out, outputs()[""] + "\nWEIR_SEED=21 in the environment runs it alone.\n")

    def test_without_the_bug_nothing_is_found(self):
        self.assertEqual(self.run_example("fixed"), (0, outputs()["fixed"]))


if __name__ == "__main__":
    unittest.main()
