#!/usr/bin/env python3
"""Checks that the public headers ask nothing of their user but this library and C++.

    check_headers.py [ROOT]

Reads the #include lines of include/weir/ (the text, not the preprocessor's view: the standard
library pulls in system headers of its own). Each must be <weir/...>, and exist, or a header of the
C++ standard library. That each header also compiles alone is the build target weir_header_tests.
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(.*?)\s*(?://.*)?$')

# C++20's library, without <ciso646> and other names kept for old code.
STANDARD = frozenset("""
    algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono
    cinttypes climits clocale cmath codecvt compare complex concepts condition_variable coroutine
    csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque
    exception execution filesystem format forward_list fstream functional future initializer_list
    iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource
    mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator
    semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf
    string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version
""".split())


def includes(path):
    """Yields (line number, "<x>" or '"x"') for each #include of a file."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1)


def check(root):
    """Returns the complaints about the public headers under `root`, as lines of text."""
    public = root / "include"
    complaints = []
    for path in sorted(public.rglob("*.h")):
        for number, name in includes(path):
            if name[1:-1] in STANDARD and name[0] == "<":
                continue
            if name.startswith("<weir/") and (public / name[1:-1]).is_file():
                continue
            complaints.append(f"{path.relative_to(root)}:{number}: a public header includes {name}; "
                              "only <weir/...> and the C++ standard library may be")
        if "#pragma once" not in path.read_text():
            complaints.append(f"{path.relative_to(root)}:1: no #pragma once")
    return complaints


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    print("\n".join(found))
    sys.exit(1 if found else 0)
