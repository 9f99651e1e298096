#!/usr/bin/env python3
"""Checks that the C++ code in README.md and docs/ is real.

    check_snippets.py [ROOT]

Every ```cpp block must be whole lines of a file of the repository, unchanged and in one piece, and
the line before it must name that file: <!-- examples/tcp_echo_server.cpp -->. What is built and
tested there then holds for the text as well. Exit status 1 if a block does not.
"""

import pathlib
import re
import sys


def pages(root):
    """The documents that are checked."""
    return [page for page in [root / "README.md", *sorted((root / "docs").glob("**/*.md"))]
            if page.is_file()]


def blocks(text):
    """Yields (line number, the line before, code) of each ```cpp block."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip() == "```cpp":
            end = lines.index("```", number) if "```" in lines[number:] else len(lines)
            yield number + 1, lines[number - 1] if number else "", lines[number + 1:end]


def complaint(root, before, code):
    """What is wrong with one block; None if nothing is."""
    named = re.fullmatch(r"<!-- (\S+) -->", before.strip())
    if not named:
        return "no file named; put <!-- path/to/file.cpp --> on the line before"
    path = root / named[1]
    if not path.is_file():
        return f"there is no {named[1]}"
    lines = path.read_text().splitlines()
    starts = range(len(lines) - len(code) + 1)
    if code and any(lines[start:start + len(code)] == code for start in starts):
        return None
    return f"not a piece of {named[1]}; copy it from there"


def check(root):
    """Returns the complaints about all pages, as "page:line: what"."""
    found = []
    for page in pages(root):
        for number, before, code in blocks(page.read_text()):
            wrong = complaint(root, before, code)
            if wrong:
                found.append(f"{page.relative_to(root)}:{number}: {wrong}")
    return found


if __name__ == "__main__":
    wrong = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    sys.exit(1 if wrong else 0)
