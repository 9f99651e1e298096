"""What an idle connection takes of a server's own memory: the slope between two numbers of
connections, each of which has echoed one message."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from harness import ServerFailed, raise_descriptor_limit, running_server, table

FEW, MANY = 1000, 11000
MESSAGE = bytes(1024)


def resident_bytes(pid):
    """Anonymous pages in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ServerFailed("the kernel does not tell RssAnon")


def heap_bytes(server):
    """What malloc has given out, told by the preloaded bench_heap_report."""
    server.send_signal(signal.SIGUSR1)
    return int(server.stderr.readline())


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    echo(client)
    return client


def echo(client):
    client.sendall(MESSAGE)
    missing = len(MESSAGE)
    while missing > 0:
        part = client.recv(missing)
        if not part:
            raise ServerFailed("the server closed a connection")
        missing -= len(part)


def measure(build, command, connect, many):
    preload = {**os.environ, "LD_PRELOAD": str(build / "libbench_heap_report.so")}
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(
            running_server(command, env=preload, stderr=subprocess.PIPE))
        counts = []
        connected = 0
        for target in (FEW, many):
            for _ in range(target - connected):
                stack.enter_context(connect(port))
            connected = target
            time.sleep(0.1)  # the server goes back to sleep
            counts.append((heap_bytes(server), resident_bytes(server.pid)))
    (heap_few, resident_few), (heap_many, resident_many) = counts
    return {"heap_bytes": (heap_many - heap_few) / (many - FEW),
            "resident_bytes": (resident_many - resident_few) / (many - FEW)}


def compare(kind, build, servers, connect, many):
    """{server: its figures}; `connect` makes of a port what is held open."""
    many = min(many, raise_descriptor_limit() - 100)
    figures = {name: measure(build, command, connect, many) for name, command in servers.items()}
    print(f"\nAn idle {kind} connection, bytes in user space "
          f"(the slope from {FEW:,} to {many:,} connections)\n")
    print(table(["server", "heap in use", "resident"],
                [[name, f"{each['heap_bytes']:,.0f}", f"{each['resident_bytes']:,.0f}"]
                 for name, each in figures.items()]))
    return figures


def run(build, servers):
    figures = compare("TCP", build, servers, connect, MANY)
    exact = _output(build / "bench_idle_connection")
    if exact:
        figures["Weir, exactly"] = json.loads(exact.stdout)
        print("\nWeir, by its operator new: {bytes:,.0f} bytes in {blocks:.2f} blocks".format(
            **figures["Weir, exactly"]))
    return figures


def run_allocations(build):
    """{program: what it says}; each fails if there is one."""
    figures = {}
    for program in ("bench_allocations_per_message", "bench_allocations_per_datagram"):
        done = _output(build / program)
        if not done:
            continue
        print(f"\nHeap allocations of a warm Weir echo server, by {program}\n")
        print(done.stdout.strip())
        figures[program] = {"output": done.stdout.splitlines(), "none": done.returncode == 0}
    return figures


def _output(program):
    if not program.exists():
        print(f"{program.name} was not built, left out")
        return None
    return subprocess.run([program], capture_output=True, text=True, timeout=60)
