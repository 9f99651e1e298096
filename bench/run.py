#!/usr/bin/env python3
"""Runs the benchmarks and prints what they say as tables: what `make bench` calls.

The servers take turns, each pinned to one processor and the load generator to another; what counts
is the ratio to the bare program (for relays: to haproxy), above all of the processor time a request
costs the server. docs/performance.md tells how to read the figures."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import compile_time
import echo
import harness
import loop
import machine
import memory_use
import relay
import simulation
import spawn
import syscalls
import tls

SECTIONS = ["echo", "churn", "stream", "threads", "unix", "udp", "tls", "spawn", "relay", "syscalls",
            "memory", "allocations", "loop", "simulation", "compile"]
QUICK_SECTIONS = ["echo", "churn", "stream", "threads", "unix", "udp", "tls", "relay", "syscalls"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    harness.add_build_argument(parser)
    parser.add_argument("--quick", action="store_true", help="a rough answer in a few minutes, by "
                        "the cells that tell most of " + ",".join(QUICK_SECTIONS))
    parser.add_argument("--rounds", type=int, help="rounds in which all take turns (default: 11; 5 of "
                        "TLS, children and relays)")
    parser.add_argument("--seconds", type=float, help="how long each run measures (default: 0.25; 0.5 of "
                        "TLS, children and relays)")
    parser.add_argument("--servers", type=lambda names: names.split(","),
                        help="only these, e.g. 'bare epoll,Weir epoll'")
    parser.add_argument("--shapes", type=lambda names: names.split(";"),
                        help="only these of echo, churn, stream, threads, unix and udp, as in their "
                        "tables, e.g. '10 x 1 KiB;1,000 x 64 B'")
    parser.add_argument("--only", type=lambda names: names.split(","),
                        help="only these of " + ",".join(SECTIONS))
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    arguments = parser.parse_args()
    arguments.only = arguments.only or (QUICK_SECTIONS if arguments.quick else SECTIONS)
    if unknown := set(arguments.only) - set(SECTIONS):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    return arguments


def rounds_and_seconds(arguments, rounds, seconds):
    """As it was said, else these, and less for a quick answer."""
    if arguments.quick:
        rounds, seconds = 2, 0.3
    return arguments.rounds or rounds, arguments.seconds or seconds


def main():
    arguments = parse_arguments()
    build = arguments.build.resolve()
    harness.raise_descriptor_limit()
    figures = {"machine": machine.describe(build), "network": harness.quiet_network()}
    print(machine.summary(figures["machine"]))
    print(figures["network"], flush=True)

    only = arguments.servers
    # Many short runs tell more than few long ones, unless it is what comes before that takes the time.
    short_runs = rounds_and_seconds(arguments, 11, 0.25)
    long_runs = rounds_and_seconds(arguments, 5, 0.5)

    def compare(comparison):
        chosen = comparison.shortened() if arguments.quick else comparison
        if arguments.shapes:
            chosen = chosen.limited_to(arguments.shapes)
        return chosen.run(build, only, *short_runs)

    sections = {
        "echo": lambda: compare(echo.TCP),
        "churn": lambda: compare(echo.CHURN),
        "stream": lambda: compare(echo.ONE_WAY),
        "threads": lambda: {"echo": compare(echo.BY_THREADS),
                            "hashed": compare(echo.BY_THREADS_HASHED)},
        "unix": lambda: compare(echo.UNIX),
        "udp": lambda: compare(echo.UDP),
        "tls": lambda: tls.run(build, only, *long_runs),
        "spawn": lambda: spawn.run(build, only, *long_runs, 512 if arguments.quick else 4096),
        "relay": lambda: relay.run(build, only, *long_runs),
        "syscalls": lambda: syscalls.run(build, echo.TCP.check(build, only)),
        "memory": lambda: memory_use.run(build, echo.TCP.check(build, only)),
        "allocations": lambda: memory_use.run_allocations(build),
        "loop": lambda: loop.run(build, 1 if arguments.quick else 5),
        "simulation": lambda: simulation.run(build, 1 if arguments.quick else 5),
        "compile": lambda: compile_time.run(2 if arguments.quick else 5),
    }
    failed = []
    for name in SECTIONS:
        if name not in arguments.only:
            continue
        try:
            figures[name] = sections[name]()
        except (harness.ServerFailed, subprocess.TimeoutExpired) as failure:
            print(f"\n{name}: stopped, {failure}", flush=True)
            failed.append(name)
        if arguments.json:  # after each section, so that an early end leaves the others
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.json:
        print(f"\nall figures are in {arguments.json}; bench/plot.py {arguments.json} draws them")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
