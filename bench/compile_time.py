"""What including a library's header costs the compiler."""

import os
import subprocess
import time

from harness import ROOT, median, table

SUBJECTS = {
    "nothing": ("", []),
    "weir/weir.h": ("#include <weir/weir.h>", [f"-I{ROOT / 'include'}"]),
    "asio.hpp": ("#include <asio.hpp>", ["-DASIO_STANDALONE"]),
    "uv.h": ("#include <uv.h>", []),
}
MODES = {"parse": ["-fsyntax-only"], "compile -O2": ["-O2", "-c", "-o", os.devnull]}


def compile_seconds(text, flags):
    """None if it does not compile: the header is not there."""
    compiler = os.environ.get("CXX", "g++")
    begin = time.monotonic()
    done = subprocess.run([compiler, "-std=c++20", *flags, "-x", "c++", "-"], input=text + "\n",
                          text=True, capture_output=True)
    return time.monotonic() - begin if done.returncode == 0 else None


def run(rounds):
    figures = {name: {mode: [] for mode in MODES} for name in SUBJECTS}
    for _ in range(rounds):
        for name, (text, include) in SUBJECTS.items():
            for mode, flags in MODES.items():
                figures[name][mode].append(compile_seconds(text, include + flags))
    figures = {name: {mode: median(times) for mode, times in modes.items()}
               for name, modes in figures.items() if None not in modes["parse"]}
    show(figures)
    return figures


def show(figures):
    ours = figures.get("weir/weir.h")
    rows = []
    for name, times in figures.items():
        row = [name]
        for mode in MODES:
            ratio = f"{times[mode] / ours[mode]:.2f}" if ours else "-"
            row += [f"{times[mode]:.2f}", ratio]
        rows.append(row)
    print("\nSeconds to compile a file that includes only this, and as a ratio to Weir\n")
    print(table(["", *(heading for mode in MODES for heading in (mode, "ratio"))], rows))
