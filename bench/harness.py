"""What the benchmarks share: where to run (a quiet network, one processor each), servers that are
started, found and ended without fail, and ratios over rounds in which all take turns."""

import contextlib
import ctypes
import fcntl
import json
import math
import os
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER_CPU, LOAD_CPU = 0, 1
# That which the distribution's packages (uvloop) are for, whatever comes first in the path.
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable

_libc = ctypes.CDLL(None, use_errno=True)


def add_build_argument(parser):
    parser.add_argument("--build", type=Path, default=ROOT / "build/release/bench",
                        help="where the bench_ programs are (default: build/release/bench)")


def available(build, programs, only=None):
    """Those of `programs`, {name: [program, *arguments]}, that were built, in order; says which
    are not."""
    found = {}
    for name, command in programs.items():
        if only and name not in only:
            continue
        if (build / command[0]).exists():
            found[name] = [str(build / command[0]), *command[1:]]
        else:
            print(f"{name}: {command[0]} is not in {build}, left out")
    return found


# --- Where to run ---------------------------------------------------------------------------------

def congestion_control():
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def quiet_network():
    """Moves this process, and so its children, to a network of their own if the host's TCP paces
    what it sends, even over loopback. Returns a sentence on what was measured.

    The network goes when the last of these processes does: there is nothing to clean up."""
    before = congestion_control()
    if before != "bbr":
        return f"network: the host's loopback, congestion control {before}"
    clone_newnet = 0x40000000
    if _libc.unshare(clone_newnet) != 0:
        reason = os.strerror(ctypes.get_errno())
        return (f"network: the host's loopback, PACED by bbr (a network namespace: {reason}; "
                "run as root for comparable figures)")
    _bring_up("lo")
    Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno")
    return "network: loopback of a fresh namespace with reno (the host's bbr paces loopback)"


def _bring_up(interface):
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", interface.encode(), 0)
        name, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, get_flags, request))
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh22x", name, flags | up))


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def in_child(cpu):
    """Runs in each child: its processor (None: any), and death together with its parent."""
    def prepare():
        pr_set_pdeathsig = 1
        _libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
        if cpu is None:
            return
        with contextlib.suppress(OSError):  # a machine with one processor
            os.sched_setaffinity(0, {cpu})
    return prepare


# --- Programs -------------------------------------------------------------------------------------

class ServerFailed(Exception):
    pass


@contextlib.contextmanager
def running_server(command, unix=False, cpu=SERVER_CPU, **popen_options):
    """Starts a server on a port or, if `unix`, on a socket in a directory of its own; gives
    (process, address): the port, or the path; ends it whatever happens."""
    with contextlib.ExitStack() as stack:
        listen = ["--port", "0"]
        if unix:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench"))
            listen = ["--unix", directory + "/socket"]
        process = stack.enter_context(subprocess.Popen(
            [*command, *listen], stdout=subprocess.PIPE, text=True,
            preexec_fn=in_child(cpu), **popen_options))
        stack.callback(end, process)
        yield process, announced_address(process, command)


def announced_address(process, command):
    words = process.stdout.readline().split()
    if len(words) != 2 or words[0] != "listening":
        raise ServerFailed(f"{' '.join(command)} did not start")
    return int(words[1]) if words[1].isdigit() else words[1]


def end(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_load(build, address, server_pid, program="bench_echo_load", cpu=LOAD_CPU, **options):
    """Runs a load generator; returns what it reports. Options as its own: `warm_up=0.1`."""
    command = [str(build / program), "--server-pid", str(server_pid),
               "--unix" if isinstance(address, str) else "--port", str(address)]
    done = subprocess.run(command + arguments_of(options), capture_output=True, text=True,
                          timeout=120, preexec_fn=in_child(cpu))
    if done.returncode != 0:
        raise ServerFailed(done.stderr.strip())
    return json.loads(done.stdout)


def arguments_of(options):
    """{"warm_up": 0.1, "verify": True} as --warm-up 0.1 --verify."""
    arguments = []
    for name, value in options.items():
        arguments.append("--" + name.replace("_", "-"))
        if value is not True:
            arguments.append(str(value))
    return arguments


def size_name(size):
    return f"{size // 1024} KiB" if size % 1024 == 0 else f"{size} B"


# --- Figures --------------------------------------------------------------------------------------

median = statistics.median


@dataclass(frozen=True)
class Measure:
    """What of the reports is compared, as a ratio to the first name's of the same round."""
    heading: str
    unit: str
    key: str  # in the reports
    ratio: str  # the name of the ratios in the figures; how sure they are is `<ratio>_interval`
    form: str = ",.0f"


def in_turns(names, rounds):
    """The names, once a round. The one that begins changes, so a machine that slows down or speeds
    up favours none."""
    names = list(names)
    for round_number in range(rounds):
        first = round_number % len(names)
        yield from names[first:] + names[:first]


def compare(names, cases, rounds, measures, report_of):
    """{case: {name: medians}} of what `report_of(name, case)` returns once a round."""
    figures = {}
    for case in cases:
        reports = {name: [] for name in names}
        for name in in_turns(names, rounds):
            reports[name].append(report_of(name, case))
        figures[case] = with_ratios(reports, measures)
    return figures


def with_ratios(reports, measures):
    """Of {name: [report, one a round]}: {name: medians}. For each of `measures` also the median of
    the ratios to the first name's report of the same round, with its interval."""
    theirs = next(iter(reports.values()))
    figures = {}
    for name, runs in reports.items():
        mine = figures[name] = {key: median([run[key] for run in runs]) for key in runs[0]}
        for measure in measures:
            ratios = [run[measure.key] / their[measure.key] for run, their in zip(runs, theirs)]
            mine[measure.ratio] = median(ratios)
            mine[measure.ratio + "_interval"] = interval_of_median(ratios)
    return figures


def interval_of_median(values):
    """(least, most): if the rounds are independent, what the median would be after endlessly many
    is in there in at least 93 of 100 cases (of five values: all of them; of fewer: less often)."""
    ordered, count = sorted(values), len(values)

    def chance_of_outside(left_out):
        return 2 * sum(math.comb(count, each) for each in range(left_out + 1)) / 2**count

    left_out = 0  # at each end
    while chance_of_outside(left_out + 1) <= 0.07:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def show_ratios(title, first_column, figures, measures):
    """Of {case: {name: figures}} a table for each measure: the first name's own figure, the others'
    ratio with half of its interval; last their geometric mean."""
    first, *others = names = list(next(iter(figures.values())))
    for measure in measures:
        print(f"\n{title}, {measure.heading}: {first} in {measure.unit}, "
              "the others as a ratio to it\n")
        rows = [[case, format(each[first][measure.key], measure.form),
                 *(with_spread(*ratio_of(each[name], measure)) for name in others)]
                for case, each in figures.items()]
        if len(rows) > 1:
            rows.append(["all", "", *(with_spread(*mean_ratio(
                [ratio_of(each[name], measure) for each in figures.values()])) for name in others)])
        print(table([first_column, *names], rows))


def ratio_of(figures, measure):
    """(a ratio, half of its interval)."""
    least, most = figures[measure.ratio + "_interval"]
    return figures[measure.ratio], (most - least) / 2


def mean_ratio(ratios):
    """The geometric mean of those, as one: what is off here is off the other way there."""
    mean = statistics.geometric_mean([ratio for ratio, _ in ratios])
    relative = math.sqrt(sum((half / ratio) ** 2 for ratio, half in ratios)) / len(ratios)
    return mean, mean * relative


def with_spread(ratio, half):
    return f"{ratio:.2f} ±{half:.2f}"


def table(headings, rows):
    """A table to read in a terminal or to paste into a Markdown file: the first column to the left,
    the others to the right."""
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(headings))]
    lines = []
    for row in cells:
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))
        lines.append("| " + " | ".join([first, *rest]) + " |")
    first, *rest = widths
    lines.insert(1, "|" + "|".join(["-" * (first + 2), *("-" * (w + 1) + ":" for w in rest)]) + "|")
    return "\n".join(lines)
