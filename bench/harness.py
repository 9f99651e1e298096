"""What the benchmarks share: where to run (a quiet network, one processor each), and echo servers
that are started, found and ended without fail."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER_CPU, LOAD_CPU = 0, 1

# name: program and arguments; the first is what the others are compared with.
SERVERS = {
    "bare epoll": ["bench_echo_bare_epoll"],
    "Weir": ["bench_echo_weir"],
    "libuv": ["bench_echo_libuv"],
    "libuv usual": ["bench_echo_libuv", "--usual"],
    "Asio": ["bench_echo_asio"],
}

_libc = ctypes.CDLL(None, use_errno=True)


def add_build_argument(parser):
    parser.add_argument("--build", type=Path, default=ROOT / "build/release/bench",
                        help="where the bench_ programs are (default: build/release/bench)")


def available_servers(build, only=None):
    """The servers that were built, in order; says which are not."""
    found = {}
    for name, command in SERVERS.items():
        if only and name not in only:
            continue
        if (build / command[0]).exists():
            found[name] = [str(build / command[0]), *command[1:]]
        else:
            print(f"{name}: {command[0]} is not in {build}, left out")
    if not found:
        sys.exit("nothing to measure: build with -DWEIR_BUILD_BENCH=ON")
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


def _in_child(cpu):
    """Runs in each child: its processor, and death together with its parent."""
    def prepare():
        pr_set_pdeathsig = 1
        _libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
        with contextlib.suppress(OSError):  # a machine with one processor
            os.sched_setaffinity(0, {cpu})
    return prepare


# --- Programs -------------------------------------------------------------------------------------

class ServerFailed(Exception):
    pass


@contextlib.contextmanager
def running_server(command, **popen_options):
    """Starts an echo server; gives (process, port); ends it whatever happens."""
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True,
                          preexec_fn=_in_child(SERVER_CPU), **popen_options) as process:
        try:
            words = process.stdout.readline().split()
            if len(words) != 2 or words[0] != "listening":
                raise ServerFailed(f"{' '.join(command)} did not start")
            yield process, int(words[1])
        finally:
            end(process)


def end(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_load(build, port, server_pid, connections, size, pipeline=1, **options):
    """Runs the load generator; returns what it reports. Options as its own, `warm_up=0.1`."""
    command = [str(build / "bench_echo_load"), "--port", str(port), "--connections",
               str(connections), "--size", str(size), "--pipeline", str(pipeline),
               "--server-pid", str(server_pid)]
    for name, value in options.items():
        command.append("--" + name.replace("_", "-"))
        if value is not True:
            command.append(str(value))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          preexec_fn=_in_child(LOAD_CPU))
    if done.returncode != 0:
        raise ServerFailed(done.stderr.strip())
    return json.loads(done.stdout)


# --- Figures --------------------------------------------------------------------------------------

median = statistics.median


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


def machine():
    """What the figures depend on, in one line."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "unknown processor")
    kernel = os.uname()
    release = kernel.release.split("-")[0]
    return f"{model}, {os.cpu_count()} processors, Linux {release} {kernel.machine}"
