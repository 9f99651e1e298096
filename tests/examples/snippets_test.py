#!/usr/bin/env python3
"""The code in README.md and docs/ is the code of the repository."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_snippets


class Snippets(unittest.TestCase):
    def test_of_this_repository(self):
        self.assertEqual(check_snippets.check(ROOT), [])

    def complaints(self, readme):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "a.cpp").write_text("int one;\nint two;\n  int three;\n")
            (root / "README.md").write_text(readme)
            return check_snippets.check(root)

    def test_a_piece_of_a_file_is_right(self):
        self.assertEqual(self.complaints("<!-- a.cpp -->\n```cpp\nint two;\n  int three;\n```\n"), [])

    def test_other_text_is_wrong(self):
        self.assertEqual(self.complaints("<!-- a.cpp -->\n```cpp\nint two;\nint three;\n```\n"),
                         ["README.md:2: not a piece of a.cpp; copy it from there"])

    def test_half_a_line_is_wrong(self):
        self.assertEqual(self.complaints("<!-- a.cpp -->\n```cpp\none;\n```\n"),
                         ["README.md:2: not a piece of a.cpp; copy it from there"])

    def test_a_block_names_its_file(self):
        self.assertEqual(
            self.complaints("text\n```cpp\nint one;\n```\n"),
            ["README.md:2: no file named; put <!-- path/to/file.cpp --> on the line before"])

    def test_the_file_exists(self):
        self.assertEqual(self.complaints("<!-- b.cpp -->\n```cpp\nint one;\n```\n"),
                         ["README.md:2: there is no b.cpp"])


if __name__ == "__main__":
    unittest.main()
