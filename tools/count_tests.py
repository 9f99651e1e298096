#!/usr/bin/env python3
"""Counts the test cases of one or more builds: the last line of .ci/run.

    count_tests.py BUILD_DIR...

ctest counts processes, and a process here may hold hundreds of cases, so: an entry of ctest that
left a googletest report counts as its cases, any other as one, but for those that say they cannot
run here. A process that fails without saying
which case did (a crash, a timeout, a leak found at its end) counts as one more failure.

Prints "N passed, N failed". Exit status 1 if anything failed or nothing ran.
"""

import pathlib
import sys
import xml.etree.ElementTree as xml


def count(build):
    """Returns (passed, failed) of the last ctest run in a build directory."""
    results = pathlib.Path(build) / "test-results"
    if not (results / "ctest.xml").is_file():
        return 0, 0
    passed = failed = 0
    for entry in xml.parse(results / "ctest.xml").iter("testcase"):
        succeeded = entry.get("status") == "run"
        report = results / f"{entry.get('name')}.xml"
        if report.is_file():
            ran, broken = count_cases(report)
            if not succeeded and broken == 0:
                broken = 1
            passed, failed = passed + ran - min(broken, ran), failed + broken
        elif entry.get("status") != "disabled" and not was_skipped(entry):
            passed, failed = passed + succeeded, failed + (not succeeded)
    return passed, failed


def was_skipped(entry):
    """True for a process that ended with its SKIP_RETURN_CODE; one that could not start is none."""
    skipped = entry.find("skipped")
    return skipped is not None and "SKIP_RETURN_CODE" in skipped.get("message", "")


def count_cases(report):
    """Returns (cases that ran, cases that failed) of one googletest report; skipped ones not."""
    ran = broken = 0
    for case in xml.parse(report).iter("testcase"):
        if case.get("status") != "run" or case.find("skipped") is not None:
            continue
        ran += 1
        broken += case.find("failure") is not None
    return ran, broken


if __name__ == "__main__":
    counts = [count(build) for build in sys.argv[1:]]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)
