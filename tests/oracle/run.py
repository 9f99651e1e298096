#!/usr/bin/env python3
"""Runs the scenarios on asyncio and on this library and compares the traces: see README.md.

    run.py [ORACLE] [--certificates PROGRAM] [--only NAME]... [--show]

ORACLE is the program weir_oracle_test; without it, the environment's WEIR_ORACLE. PROGRAM makes the
certificates of TLS; without one the scenarios of tls*.txt are left out. --show prints the traces.
Fails on a difference that differences.txt does not explain, and on an explanation of a difference
that is not there.
"""

import argparse
import difflib
import os
import pathlib
import subprocess
import sys
import tempfile

from script import read_scenarios

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_SECONDS = 280
# The release that differences.txt is about. A newer one agrees with us in more.
EXPLAINED_VERSION = (3, 11)


class Explanation:
    def __init__(self, scenario, actor, rule, reason):
        self.scenario, self.actor, self.rule, self.reason = scenario, actor, rule, reason
        self.lines = []
        self.used = False


def read_explanations(path):
    """Blocks of `SCENARIO ACTOR RULE: REASON` and the lines of the difference, `- x` or `+ x`."""
    explanations = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line[:2] in ("- ", "+ "):
            explanations[-1].lines.append(line)
        else:
            head, reason = line.split(": ", 1)
            explanations.append(Explanation(*head.split(), reason))
    return explanations


def read_traces(text):
    """{scenario: {actor: [line]}}; None for a scenario that was skipped."""
    traces = {}
    for line in text.splitlines():
        if line.startswith("scenario "):
            name = line.split()[1]
            traces[name] = {}
        elif line == "skipped":
            traces[name] = None
        else:
            actor, text = line.split(": ", 1)
            traces[name].setdefault(actor, []).append(text)
    return traces


def has_uring(oracle):
    """Whether this build and this system have io_uring; says why not."""
    asked = subprocess.run([oracle, "--backend", "uring", "--probe"], capture_output=True, text=True,
                           check=False)
    print(asked.stderr, end="")
    return asked.returncode == 0


def run_all(oracle, files, certificates):
    """By transport and name, {run: (the traces of asyncio, those of this library)}. Connections go
    over TCP, or in all scenarios that do not say otherwise over Unix sockets."""
    asyncio = [sys.executable, str(HERE / "run_asyncio.py"), "--certificates", certificates]
    ours = [oracle, "--certificates", certificates]
    over_unix = ["--transport", "unix"]
    def backend(name):
        return ours + ["--backend", name]

    commands = {
        "asyncio": asyncio,
        "asyncio, unix": asyncio + over_unix,
        "kernel": backend("epoll"),
        "kernel, unix": backend("epoll") + over_unix,
        "simulated": backend("simulated"),
        "simulated, unix": backend("simulated") + over_unix,
    }
    if has_uring(oracle):
        commands["uring"] = backend("uring")
        commands["uring, unix"] = backend("uring") + over_unix
    outputs = {name: tempfile.TemporaryFile("w+") for name in commands}
    running = {name: subprocess.Popen(command + files, stdout=outputs[name])
               for name, command in commands.items()}
    traces = {}
    for name, process in running.items():
        if process.wait(timeout=TIMEOUT_SECONDS) != 0:
            sys.exit(f"{name}: the program ended with {process.returncode}")
        outputs[name].seek(0)
        traces[name] = read_traces(outputs[name].read())
    return {name: (traces["asyncio, unix" if name.endswith("unix") else "asyncio"], actual)
            for name, actual in traces.items() if not name.startswith("asyncio")}


def difference(expected, actual):
    """What only asyncio says, as `- line`, and only we, as `+ line`."""
    return [line for line in difflib.ndiff(expected, actual) if line[:2] in ("- ", "+ ")]


def compare(scenario, expected, actual):
    """Yields (actor, difference) for each actor whose traces differ."""
    actors = sorted(set(expected) | set(actual))
    for actor in actors:
        if scenario.compare and actor not in scenario.compare:
            continue
        lines = difference(expected.get(actor, []), actual.get(actor, []))
        if lines:
            yield actor, lines


def show(name, trace):
    print(f"--- {name}")
    for actor, lines in (trace or {}).items():
        for line in lines:
            print(f"{actor}: {line}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("oracle", nargs="?", default=os.environ.get("WEIR_ORACLE"))
    parser.add_argument("--certificates", default=os.environ.get("WEIR_MAKE_CERTIFICATES"))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if not options.oracle:
        parser.error("no oracle program given")

    scenarios = {file: read_scenarios(file) for file in sorted((HERE / "scenarios").glob("*.txt"))}
    names = [scenario.name for each in scenarios.values() for scenario in each]
    assert len(set(names)) == len(names), "a scenario's name is used twice"
    explanations = read_explanations(HERE / "differences.txt")

    if not options.certificates:
        scenarios = {file: each for file, each in scenarios.items()
                     if not file.stem.startswith("tls")}
    selected = [scenario for each in scenarios.values() for scenario in each
                if not options.only or scenario.name in options.only]
    files = [str(file) for file, each in scenarios.items() if set(each) & set(selected)]
    with tempfile.TemporaryDirectory(prefix="oracle") as certificates:
        if options.certificates:
            subprocess.run([options.certificates, certificates], check=True)
        runs = run_all(options.oracle, files, certificates)
    unexplained = 0
    for scenario in selected:
        for run, (expected, traces) in runs.items():
            if options.show:
                show(f"{scenario.name}: asyncio", expected[scenario.name] or {})
                show(f"{scenario.name}: {run}", traces[scenario.name] or {})
            if expected[scenario.name] is None or traces[scenario.name] is None:
                continue
            for actor, lines in compare(scenario, expected[scenario.name], traces[scenario.name]):
                known = [each for each in explanations
                         if (each.scenario, each.actor, each.lines) == (scenario.name, actor, lines)]
                for each in known:
                    each.used = True
                if not known:
                    unexplained += 1
                    print(f"unexplained, {run}: {scenario.name} {actor} {' '.join(scenario.rules)}:")
                    print("\n".join(lines))

    stale = [each for each in explanations if each.scenario not in names]
    if not options.only and sys.version_info[:2] == EXPLAINED_VERSION:
        ran = [scenario.name for scenario in selected]
        stale += [each for each in explanations if each.scenario in ran and not each.used]
    for each in stale:
        print(f"explained, but not there: {each.scenario} {each.actor} {each.rule}")
    explained = sum(each.used for each in explanations)
    print(f"{len(selected)} scenarios, {explained} explained differences, "
          f"{unexplained} unexplained differences")
    sys.exit(1 if unexplained or stale else 0)


if __name__ == "__main__":
    main()
