"""The simulated network, on one core: how many round trips it makes in a second of real time, and how many
short worlds of three hosts with faults. No library of the same kind is there to compare with."""

import json
import subprocess

from harness import median, table


def run(build, repetitions):
    """{question: each second}, medians."""
    program = build / "bench_simulated_runs"
    if not program.exists():
        print("\nsimulated network: left out, bench_simulated_runs was not built")
        return None
    runs = [json.loads(subprocess.run([program], capture_output=True, text=True, timeout=600,
                                      check=True).stdout) for _ in range(repetitions)]
    figures = {question: median([each[question] for each in runs]) for question in runs[0]}
    print("\nSimulated network, each second of real time\n")
    print(table(["", "Weir"], [[question, f"{each:,.0f}"] for question, each in figures.items()]))
    return figures
