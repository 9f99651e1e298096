#!/usr/bin/python3
"""Draws what `bench/run.py --json FILE` kept of the TCP echo, as SVG: a picture each for requests/s,
the server's CPU and latency.

Debian's matplotlib is for the system's own Python, so this asks for that."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "weir",  # equal figures give equal files
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
})
from matplotlib import pyplot, ticker  # noqa: E402, after the backend is chosen

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 4
LEGEND_SHARE = 0.06  # of a picture's height
CONNECTIONS = [1, 10, 100, 1000]
SIZES = {64: ("64 B", "#c6a700"), 1024: ("1 KiB", "#2a9d5c"), 10240: ("10 KiB", "#2b6cb0"),
         102400: ("100 KiB", "#6b2c91")}
PIPELINED = len(CONNECTIONS)  # its place on the axis


@dataclass(frozen=True)
class Picture:
    file: str
    title: str
    key: str
    compared: bool = True  # to the first server, by ratios; else its own figures are drawn in grey


PICTURES = [
    Picture("echo_requests", "TCP echo: requests/s as a ratio to {first} (more is better)",
            "speed_ratio"),
    Picture("echo_cpu", "TCP echo: server CPU a request as a ratio to {first} (less is better)",
            "cost_ratio"),
    Picture("echo_latency", "TCP echo: 99th percentile latency, us (less is better; grey: {first})",
            "p99_us", compared=False),
]


def draw(picture, echo, directory):
    """A panel for each server but the first, in it a line for each size of messages."""
    first, *others = echo[0]["servers"]
    rows = -(-len(others) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False,
                                   figsize=(2.5 * COLUMNS, 0.9 + 1.9 * rows),
                                   layout="constrained")
    panels = list(axes.flat)
    for panel, server in zip(panels, others):
        draw_server(panel, picture, echo, first, server)
    for panel in panels[len(others):]:
        panel.set_visible(False)
    for panel in panels[max(0, len(others) - COLUMNS):len(others)]:
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("connections")
    figure.suptitle(picture.title.format(first=first))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=5,
                  frameon=False)
    figure.get_layout_engine().set(rect=(0, LEGEND_SHARE, 1, 1 - LEGEND_SHARE))
    path = directory / f"{picture.file}.svg"
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    print(path)


def draw_server(panel, picture, echo, first, server):
    panel.set_title(server, fontweight="bold" if server.startswith("Weir") else "normal")
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if picture.compared else (1,)))
    panel.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.12g}"))
    panel.yaxis.set_minor_locator(ticker.NullLocator())
    panel.set_xticks(range(len(CONNECTIONS) + 1), [f"{n:,}" for n in CONNECTIONS] + ["deep"])
    panel.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    if picture.compared:
        panel.axhline(1, color="#404040", linewidth=0.8)
    for size, (name, colour) in SIZES.items():
        cells = [cell for connections in CONNECTIONS for cell in echo
                 if (cell["connections"], cell["size"], cell["pipeline"]) == (connections, size, 1)]
        places = [CONNECTIONS.index(cell["connections"]) for cell in cells]
        line(panel, picture, cells, places, server, first, color=colour, marker="o", label=name)
    deep = [cell for cell in echo if cell["pipeline"] > 1]
    line(panel, picture, deep, [PIPELINED] * len(deep), server, first, color="#c0392b", marker="D",
         label="deep: 10 x 1 KiB, 16 at once")


def line(panel, picture, cells, places, server, first, **style):
    """Ratios with bars for how sure they are."""
    def values(of):
        return [cell["servers"][of][picture.key] for cell in cells]

    style |= {"markersize": 3, "linewidth": 1.2}
    if picture.compared:
        intervals = [cell["servers"][server][picture.key + "_interval"] for cell in cells]
        spread = [[abs(value - ends[i]) for value, ends in zip(values(server), intervals)]
                  for i in (0, 1)]
        panel.errorbar(places, values(server), yerr=spread, elinewidth=0.8, **style)
    else:
        panel.plot(places, values(first), **style | {"color": "#bbbbbb", "label": None})
        panel.plot(places, values(server), **style)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("figures", type=Path, help="what `make bench` keeps as build/bench.json")
    parser.add_argument("--directory", type=Path, default=ROOT / "docs/images",
                        help="where the pictures go (default: docs/images)")
    arguments = parser.parse_args()
    echo = json.loads(arguments.figures.read_text())["echo"]
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        draw(picture, echo, arguments.directory)


if __name__ == "__main__":
    main()
