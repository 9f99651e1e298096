"""System calls a message: strace counts those of a server while it echoes a few and many messages;
the difference leaves out what starting, accepting and closing cost."""

import collections
import contextlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import ServerFailed, end, run_load, running_server, table

FEW, MANY = 10_000, 60_000
CONNECTIONS, SIZE = 100, 1024


def count(build, command, requests):
    """(calls by name, messages echoed) of one run."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(tempfile.NamedTemporaryFile("r"))
        server, port = stack.enter_context(running_server(command))
        strace = stack.enter_context(subprocess.Popen(
            ["strace", "-f", "-c", "-U", "name,calls", "-o", output.name, "-p", str(server.pid)],
            stderr=subprocess.PIPE, text=True))
        stack.callback(end, strace)
        first = strace.stderr.readline()
        if "attached" not in first:
            raise ServerFailed(first.strip())
        report = run_load(build, port, server.pid, connections=CONNECTIONS, size=SIZE,
                          requests=requests, warm_up=0)
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
        return parse(Path(output.name).read_text()), report["requests"]


def parse(text):
    calls = collections.Counter()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and words[0] != "total":
            calls[words[0]] = int(words[1])
    return calls


def run(build, servers):
    if not shutil.which("strace"):
        print("\nsystem calls a message: left out, there is no strace")
        return None
    figures = {}
    for name, command in servers.items():
        try:
            few, few_messages = count(build, command, FEW)
            many, many_messages = count(build, command, MANY)
        except ServerFailed as failure:
            print(f"system calls of {name}: left out, {failure}")
            continue
        messages = many_messages - few_messages
        each = {call: (many[call] - few[call]) / messages for call in many}
        figures[name] = {call: value for call, value in each.items() if abs(value) >= 0.005}
    names = sorted({call for each in figures.values() for call in each})
    print(f"\nSystem calls a message, TCP {CONNECTIONS} x {SIZE // 1024} KiB\n")
    print(table(["server", "all", *names],
                [[name, f"{sum(each.values()):.2f}",
                  *(f"{each[call]:.2f}" if call in each else "" for call in names)]
                 for name, each in figures.items()]))
    return figures
