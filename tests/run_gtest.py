#!/usr/bin/env python3
"""Runs a googletest program and, if it fails, shows the cases that did and nothing of the others.

    run_gtest.py REPORT.xml SECONDS PROGRAM [ARGUMENT...]

Of a program that crashes, or is still running after SECONDS, that is the case it was in, which
googletest's own --gtest_brief does not tell. Exit status: the program's, 1 if a signal ended it.
"""

import pathlib
import subprocess
import sys


def failures(lines):
    """The lines of a googletest run that belong to no case that passed or was skipped."""
    case = []
    for line in lines:
        if line.startswith("[ RUN "):
            yield from case  # what stood between the cases
            case = [line]
        elif line.startswith(("[       OK ]", "[  SKIPPED ]")):
            case = []
        elif line.strip() and not line.startswith("[-----"):
            case.append(line)
    yield from case


def main(report, seconds, *command):
    # A report is of this run: an older one must not be counted for a program that crashes.
    pathlib.Path(report).unlink(missing_ok=True)
    program = subprocess.Popen([*command, f"--gtest_output=xml:{report}"], text=True,
                               errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = program.communicate(timeout=float(seconds))
    except subprocess.TimeoutExpired:
        program.kill()
        output, _ = program.communicate()
        output += f"\nstill running after {seconds} s"
    lines = output.splitlines()
    print(*(failures(lines) if program.returncode else lines[-2:]), sep="\n")
    if program.returncode < 0:
        print(f"{command[0]}: ended by signal {-program.returncode}")
    return max(program.returncode, 0) or int(program.returncode < 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
