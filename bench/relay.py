"""Relays between two TCP sockets: how much of a stream they carry, and what it costs them."""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import harness
from harness import Measure, ServerFailed, size_name

CHUNK = 100 * 1024
CONNECTIONS = [1, 10]
BASELINE = "haproxy"
MEASURES = [
    Measure("MiB/s (more is better)", "MiB/s", "mib_per_second", "speed_ratio"),
    Measure("relay's CPU a GiB (less is better)", "ms", "relay_cpu_ms_per_gib", "cost_ratio"),
]

HAPROXY_CONFIGURATION = """
global
  nbthread 1
  maxconn 100
  {tuning}
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  {option}
listen relay
  bind 127.0.0.1:{port}
  server sink 127.0.0.1:{target}
"""


def weir_relay(tool):
    return lambda port, target, _: [tool, "relay", f"tcp://127.0.0.1:{port}",
                                    f"tcp://127.0.0.1:{target}"]


def socat(port, target, _):
    """With 64 KiB buffers; its own default is 8 KiB."""
    return ["socat", "-b65536", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork",
            f"TCP:127.0.0.1:{target}"]


def haproxy(option="", tuning=""):
    def command(port, target, directory):
        configuration = Path(directory) / "haproxy.cfg"
        configuration.write_text(
            HAPROXY_CONFIGURATION.format(port=port, target=target, option=option, tuning=tuning))
        return ["haproxy", "-db", "-q", "-f", str(configuration)]
    return command


def available(build, only):
    """{name: what makes its command of port, target and a directory}; the baseline is first."""
    tool = build.parent / "tools/weir/weir"
    relays = {
        BASELINE: ("haproxy", haproxy()),
        "haproxy splice": ("haproxy", haproxy(option="option splice-auto")),
        "haproxy 256 KiB": ("haproxy", haproxy(tuning="tune.bufsize 262144")),
        "Weir": (str(tool), weir_relay(str(tool))),
        "socat": ("socat", socat),
    }
    found = {}
    for name, (program, command) in relays.items():
        if only and name not in only:
            continue
        if shutil.which(program):
            found[name] = command
        else:
            print(f"{name}: there is no {program}, left out")
    return found


def free_port():
    """One that nobody has now; the relays do not say which they were given."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def relay(build, command, connections, seconds):
    port = free_port()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench"))
        options = harness.arguments_of({"through": port, "connections": connections, "size": CHUNK,
                                        "duration": seconds, "warm_up": min(0.2, seconds / 4)})
        load = stack.enter_context(subprocess.Popen(
            [build / "bench_relay_load", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=harness.in_child(harness.LOAD_CPU)))
        stack.callback(harness.end, load)
        target = harness.announced_address(load, ["bench_relay_load"])
        relay = stack.enter_context(subprocess.Popen(
            command(port, target, directory), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=harness.in_child(harness.SERVER_CPU)))
        stack.callback(harness.end, relay)
        output, errors = load.communicate(f"{relay.pid}\n", timeout=60)
    if load.returncode != 0:
        raise ServerFailed(errors.strip())
    return json.loads(output)


def run(build, only, rounds, seconds):
    """{connections: {relay: medians}}."""
    if not (build / "bench_relay_load").exists():
        print("relays: left out, bench_relay_load was not built")
        return None
    relays = available(build, only)
    for name in list(relays):
        try:
            relay(build, relays[name], 1, 0.1)
        except ServerFailed as failure:
            print(f"{name} does not relay, left out: {failure}")
            del relays[name]
    if not relays:
        return None
    figures = harness.compare(
        relays, CONNECTIONS, rounds, MEASURES,
        lambda name, connections: relay(build, relays[name], connections, seconds))
    title = f"Relay of a stream in chunks of {size_name(CHUNK)}"
    harness.show_ratios(title, "connections", figures, MEASURES)
    return figures
