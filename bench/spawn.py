"""Spawning: one child of /bin/true after the other, from a small parent and from one with memory."""

import json
import subprocess
from pathlib import Path

import harness
from harness import Measure, ServerFailed

PROGRAMS = {
    "bare": ["bench_spawn_bare"],
    "Weir": ["bench_spawn_weir"],
    "libuv": ["bench_spawn_libuv"],
}
MEASURES = [
    Measure("children/s (more is better)", "children/s", "requests_per_second", "speed_ratio"),
    Measure("CPU of parent and child, a child (less is better)", "us",
            "server_cpu_us_per_request", "cost_ratio"),
]


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
    filled_mib = {"small": 0, f"{much:,} MiB": much}
    figures = harness.compare(
        programs, filled_mib, rounds, MEASURES,
        lambda name, parent: spawn(programs[name], filled_mib[parent], seconds))
    harness.show_ratios("Spawning /bin/true", "parent", figures, MEASURES)
    return figures
