#!/usr/bin/env python3
"""Instructions for each message that is echoed over epoll: callgrind counts those of a program that echoes few
messages and of one that echoes many; the difference leaves out what starting and connecting cost.

    instructions.py PROGRAM BUILD

PROGRAM is weir_echo_rounds, BUILD the compiler and the build type, as in the table. A message goes there and
back, both ends are counted: two receives, two sends. Exit status 77: there is no valgrind, or no bound.
"""

import re
import shutil
import subprocess
import sys

# What was measured, and 15 % more. By compiler, its version and the build type of a preset.
BOUNDS = {
    "GNU 12 Debug": 8800,  # 7650
    "GNU 12 RelWithDebInfo": 1140,  # 991
}

CONNECTIONS = 10  # as in echo_rounds.cpp
FEW, MANY = 20, 120  # messages of each
SKIPPED = 77


def instructions(program, rounds):
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program,
                          str(rounds)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not found:
        sys.exit(f"valgrind failed:\n{run.stderr}")
    return int(found[1])


def main(program, build):
    if not shutil.which("valgrind"):
        print("not measured: there is no valgrind")
        return SKIPPED
    few, many = instructions(program, FEW), instructions(program, MANY)
    figure = (many - few) / (CONNECTIONS * (MANY - FEW))
    if build not in BOUNDS:
        print(f"instructions a message: {figure:.0f}; no bound for {build}")
        return SKIPPED
    bound = BOUNDS[build]
    over = "OVER THE BOUND: " if figure > bound else ""
    print(f"{over}instructions a message, {build}: {figure:.0f}, at most {bound}")
    return int(figure > bound)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
