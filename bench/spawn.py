"""Spawning: one child of /bin/true after the other, from a small parent and from one with memory."""

import json
import subprocess
from pathlib import Path

import harness
from harness import ServerFailed, ratio_table

PROGRAMS = {
    "bare": ["bench_spawn_bare"],
    "Weir": ["bench_spawn_weir"],
    "libuv": ["bench_spawn_libuv"],
}
RATIOS = {"speed_ratio": "requests_per_second", "cost_ratio": "server_cpu_us_per_request"}


def affordable_mib(wanted):
    """What the large parent fills: less on a machine that has not twice as much to give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min(wanted, int(line.split()[1]) // 1024 // 2)
    return 0


def spawn(command, memory_mib, seconds):
    done = subprocess.run(
        [*command, "--memory-mib", str(memory_mib), "--seconds", str(seconds)],
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        preexec_fn=harness.in_child(harness.SERVER_CPU))
    if done.returncode != 0:
        raise ServerFailed(f"{command[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def run(build, only, rounds, seconds, memory_mib):
    """{the parent's memory: {program: medians}}."""
    programs = harness.available(build, PROGRAMS, only)
    if not programs:
        return None
    much = affordable_mib(memory_mib)
    if much < memory_mib:
        print(f"\nspawning: only {much} MiB are filled, the machine has no more to spare")
    figures = {}
    for filled_mib, parent in ((0, "small"), (much, f"{much:,} MiB")):
        reports = {name: [] for name in programs}
        for name in harness.in_turns(programs, rounds):
            reports[name].append(spawn(programs[name], filled_mib, seconds))
        figures[parent] = harness.with_ratios(reports, RATIOS)
    first = next(iter(programs))
    for heading, unit, key, ratio, form in (
            ("children/s (more is better)", "children/s", "requests_per_second", "speed_ratio",
             ",.0f"),
            ("CPU of parent and child, a child (less is better)", "us",
             "server_cpu_us_per_request", "cost_ratio", ",.0f")):
        print(f"\nSpawning /bin/true, {heading}: {first} in {unit}, the others as a ratio to it\n")
        print(ratio_table("parent", figures, key, ratio, form))
    return figures
