"""Inside the loop: posts, timers and calls between threads, by Google Benchmark."""

import json
import subprocess

from harness import median, table


def run(build, repetitions):
    """{question: {library: nanoseconds each}}, medians of interleaved repetitions."""
    program = build / "bench_loop"
    if not program.exists():
        print("\ninside the loop: left out, bench_loop was not built")
        return None
    names = _run(program, "--benchmark_list_tests").splitlines()
    runs = {name: [] for name in names}
    for _ in range(repetitions):
        for name in names:  # each in a process of its own, with a heap that no other has used
            output = _run(program, f"--benchmark_filter=^{name}$", "--benchmark_min_time=0.1",
                          "--benchmark_format=json")
            runs[name].append(json.loads(output)["benchmarks"][0]["each"] * 1e9)
    figures = {_question_and_library(name)[0]: {} for name in names}
    for name in names:
        question, library = _question_and_library(name)
        figures[question][library] = median(runs[name])
    show(figures)
    return figures


def _run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600,
                          check=True).stdout


def _question_and_library(name):
    """Of "timer, fire/Weir/1000/manual_time": ("timer, fire, 1,000", "Weir")."""
    question, library, *rest = name.split("/")
    return (f"{question}, {int(rest[0]):,}" if rest and rest[0].isdigit() else question), library


def show(figures):
    libraries = list(dict.fromkeys(library for each in figures.values() for library in each))
    print("\nInside the loop, ns each\n")
    print(table(["", *libraries],
                [[question, *(f"{each[library]:,.1f}" if library in each else "-"
                              for library in libraries)] for question, each in figures.items()]))
