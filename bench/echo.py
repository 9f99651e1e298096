"""The echo comparisons: every server over every shape of traffic, in interleaved rounds."""

import time
from dataclasses import dataclass

import harness
from harness import Measure, ServerFailed, run_load, running_server, size_name, table

KiB = 1024
MEASURES = [
    Measure("requests/s (more is better)", "requests/s", "requests_per_second", "speed_ratio"),
    Measure("server CPU a request (less is better)", "us", "server_cpu_us_per_request",
            "cost_ratio", ".2f"),
]
LATENCIES = {"p50_us": "median latency", "p99_us": "99th percentile latency",
             "p99_9_us": "99.9th percentile latency"}


def stream(connections, size, pipeline=1):
    """A shape of traffic: (its name, the options of the load generator)."""
    deep = f", {pipeline} deep" if pipeline > 1 else ""
    return (f"{connections:,} x {size_name(size)}{deep}",
            {"connections": connections, "size": size, "pipeline": pipeline})


def datagrams(outstanding, size, sockets=1):
    peers = f", {sockets} peers" if sockets > 1 else ""
    return (f"{outstanding} x {size_name(size)}{peers}",
            {"outstanding": outstanding, "size": size, "sockets": sockets})


@dataclass(frozen=True)
class Comparison:
    """What is measured alike: servers, the first being what the others are compared with, and the
    shapes of traffic."""
    title: str
    first_column: str
    load: str  # the program
    servers: dict  # name: [program, *arguments]
    shapes: list
    checks: list  # shapes whose answers are compared byte by byte, before any is timed
    unix: bool = False

    def check(self, build, only=None):
        """The servers whose answers are right, each with its whole command. Says who is left out."""
        sound = {}
        for name, command in harness.available(build, self.servers, only).items():
            try:
                with running_server(command, self.unix) as (server, address):
                    for _, options in self.checks:
                        run_load(build, address, server.pid, self.load, duration=0.05, warm_up=0,
                                 verify=True, **options)
                sound[name] = command
            except ServerFailed as failure:
                print(f"{self.title}: {name} does not echo, left out: {failure}")
        return sound

    def measure(self, build, servers, rounds, seconds):
        """{shape's name: {server: medians}}."""
        shapes = dict(self.shapes)

        def report_of(name, shape):
            with running_server(servers[name], self.unix) as (server, address):
                return run_load(build, address, server.pid, self.load, duration=seconds,
                                warm_up=min(0.2, seconds / 4), **shapes[shape])
        return harness.compare(servers, shapes, rounds, MEASURES, report_of)

    def show(self, figures):
        harness.show_ratios(self.title, self.first_column, figures, MEASURES)
        names = list(next(iter(figures.values())))
        for key, heading in LATENCIES.items():
            print(f"\n{self.title}, {heading}, us\n")
            print(table([self.first_column, *names],
                        [[shape, *(f"{each[name][key]:,.0f}" for name in names)]
                         for shape, each in figures.items()]))
        if lost := {f"{name} {shape}: {each[name]['lost']:.0f}" for shape, each in figures.items()
                    for name in names if each[name]["lost"] > 0}:
            print(f"\nlost requests a run: {', '.join(sorted(lost))}")

    def run(self, build, only, rounds, seconds):
        """[{shape, its options, servers: {name: medians}}]; None if there is nobody to measure."""
        servers = self.check(build, only)
        if not servers:
            print(f"{self.title}: left out, there is no server for it")
            return None
        started = time.monotonic()
        figures = self.measure(build, servers, rounds, seconds)
        self.show(figures)
        print(f"\n{rounds} rounds of {seconds} s each, medians; "
              f"{time.monotonic() - started:.0f} s in all", flush=True)
        return [{"shape": shape, **options, "servers": figures[shape]}
                for shape, options in self.shapes]


STREAM_SERVERS = {
    "bare epoll": ["bench_echo_bare_epoll"],
    "bare uring": ["bench_echo_bare_uring"],
    "Weir epoll": ["bench_echo_weir", "--backend", "epoll"],
    "Weir uring": ["bench_echo_weir", "--backend", "uring"],
    "libuv": ["bench_echo_libuv"],
    "libuv usual": ["bench_echo_libuv", "--usual"],
    "Asio": ["bench_echo_asio"],
}
STREAM_CHECKS = [stream(20, size, 3) for size in (1, 64 * KiB + 1, 300 * KiB)]

TCP = Comparison(
    title="TCP echo",
    first_column="connections x size",
    load="bench_echo_load",
    servers=STREAM_SERVERS,
    shapes=[stream(1, KiB), stream(10, KiB), stream(100, KiB), stream(1000, KiB), stream(100, 64),
            stream(100, 10 * KiB), stream(100, 100 * KiB), stream(10, KiB, 16)],
    checks=STREAM_CHECKS)

UNIX = Comparison(
    title="Unix echo",
    first_column="connections x size",
    load="bench_echo_load",
    servers=STREAM_SERVERS,
    shapes=[stream(100, 64), stream(100, KiB)],
    checks=STREAM_CHECKS,
    unix=True)

UDP = Comparison(
    title="UDP echo",
    first_column="outstanding x size",
    load="bench_udp_load",
    servers={
        "bare epoll": ["bench_udp_bare_epoll"],
        "Weir epoll": ["bench_udp_weir", "--backend", "epoll"],
        "Weir uring": ["bench_udp_weir", "--backend", "uring"],
        "libuv": ["bench_udp_libuv"],
        "Asio": ["bench_udp_asio"],
    },
    shapes=[datagrams(64, 64), datagrams(64, KiB), datagrams(64, 64, 64)],
    checks=[datagrams(3, 8), datagrams(64, KiB), datagrams(2, 60_000), datagrams(64, KiB, 64)])
