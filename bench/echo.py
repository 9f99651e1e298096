"""The comparisons of servers, each over every shape of traffic, in interleaved rounds: echo,
connections that come and go, streams in one direction."""

import time
from dataclasses import dataclass, field, replace

import harness
from harness import Measure, ServerFailed, run_load, running_server, size_name, table

KiB = 1024


def measures_of(request):
    """What is compared of servers that answer requests, by the name of what a request is."""
    return [
        Measure(f"{request}s/s (more is better)", f"{request}s/s", "requests_per_second",
                "speed_ratio"),
        Measure(f"server CPU a {request} (less is better)", "us", "server_cpu_us_per_request",
                "cost_ratio", ".2f"),
    ]


LATENCIES = {"p50_us": "median latency", "p99_us": "99th percentile latency",
             "p99_9_us": "99.9th percentile latency"}


def stream(connections, size, pipeline=1):
    """A shape of traffic: (its name, the options of the load generator)."""
    deep = f", {pipeline} deep" if pipeline > 1 else ""
    return (f"{connections:,} x {size_name(size)}{deep}",
            {"connections": connections, "size": size, "pipeline": pipeline})


def reconnecting(at_once, size):
    """Each request on a connection of its own."""
    return f"{at_once} at once", {**stream(at_once, size)[1], "reconnect": True}


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
    telling: list = None  # of the shapes those that a quick answer needs, if not all
    measures: list = field(default_factory=lambda: measures_of("request"))
    latencies: dict = field(default_factory=lambda: LATENCIES)
    unix: bool = False
    where: dict = field(default_factory=dict)  # how both are run, if not on a processor each

    def shortened(self):
        return replace(self, shapes=self.telling or self.shapes)

    def limited_to(self, names):
        return replace(self, shapes=[shape for shape in self.shapes if shape[0] in names])

    def check(self, build, only=None):
        """The servers whose answers are right, each with its whole command. Says who is left out."""
        sound = {}
        for name, command in harness.available(build, self.servers, only).items():
            try:
                with running_server(command, self.unix, **self.where) as (server, address):
                    for _, options in self.checks:
                        run_load(build, address, server.pid, self.load, duration=0.05, warm_up=0,
                                 verify=True, **self.where, **options)
                sound[name] = command
            except ServerFailed as failure:
                print(f"{self.title}: {name} fails its check, left out: {failure}")
        return sound

    def measure(self, build, servers, rounds, seconds):
        """{shape's name: {server: medians}}."""
        shapes = dict(self.shapes)

        def report_of(name, shape):
            with running_server(servers[name], self.unix, **self.where) as (server, address):
                return run_load(build, address, server.pid, self.load, duration=seconds,
                                warm_up=min(0.2, seconds / 4), **self.where, **shapes[shape])
        return harness.compare(servers, shapes, rounds, self.measures, report_of)

    def show(self, figures):
        harness.show_ratios(self.title, self.first_column, figures, self.measures)
        names = list(next(iter(figures.values())))
        for key, heading in self.latencies.items():
            print(f"\n{self.title}, {heading}, us\n")
            print(table([self.first_column, *names],
                        [[shape, *(f"{each[name][key]:,.0f}" for name in names)]
                         for shape, each in figures.items()]))
        if lost := {f"{name} {shape}: {each[name]['lost']:.0f}" for shape, each in figures.items()
                    for name in names if each[name].get("lost", 0) > 0}:
            print(f"\nlost requests a run: {', '.join(sorted(lost))}")

    def run(self, build, only, rounds, seconds):
        """[{shape, its options, servers: {name: medians}}]; None if there is nobody to measure."""
        if not self.shapes:
            print(f"{self.title}: left out, it has none of those shapes")
            return None
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


PYTHON_ECHO = [harness.SYSTEM_PYTHON, str(harness.ROOT / "bench/servers/echo_python.py")]
STREAM_SERVERS = {
    "bare epoll": ["bench_echo_bare_epoll"],
    "bare uring": ["bench_echo_bare_uring"],
    "Weir epoll": ["bench_echo_weir", "--backend", "epoll"],
    "Weir uring": ["bench_echo_weir", "--backend", "uring"],
    "libuv": ["bench_echo_libuv"],
    "libuv usual": ["bench_echo_libuv", "--usual"],
    "libevent": ["bench_echo_libevent"],
    "Asio": ["bench_echo_asio"],
    "Asio coroutines": ["bench_echo_asio", "--coroutines"],
    "Asio uring": ["bench_echo_asio_uring"],
    "asyncio": PYTHON_ECHO,
    "uvloop": [*PYTHON_ECHO, "--uvloop"],
}
STREAM_CHECKS = [stream(20, size, 3) for size in (1, 64 * KiB + 1, 300 * KiB)]
PIPELINED = stream(10, KiB, 16)

TCP = Comparison(
    title="TCP echo",
    first_column="connections x size",
    load="bench_echo_load",
    servers=STREAM_SERVERS,
    shapes=[*(stream(connections, size) for size in (64, KiB, 10 * KiB, 100 * KiB)
              for connections in (1, 10, 100, 1000)), PIPELINED],
    checks=STREAM_CHECKS,
    telling=[stream(1, KiB), stream(100, 64), stream(100, KiB), stream(100, 100 * KiB), PIPELINED])

UNIX = Comparison(
    title="Unix echo",
    first_column="connections x size",
    load="bench_echo_load",
    servers=STREAM_SERVERS,
    shapes=[stream(100, 64), stream(100, KiB)],
    checks=STREAM_CHECKS,
    telling=[stream(100, KiB)],
    unix=True)

CHURN = Comparison(
    title="TCP connections with one message of 1 KiB",
    first_column="connections",
    load="bench_echo_load",
    servers=STREAM_SERVERS,
    shapes=[reconnecting(10, KiB), reconnecting(100, KiB)],
    checks=[reconnecting(3, 300 * KiB)],
    telling=[reconnecting(100, KiB)],
    measures=measures_of("connection"))

ONE_WAY = Comparison(
    title="TCP stream in one direction",
    first_column="connections x piece",
    load="bench_stream_load",
    servers={name: [*command, "--discard"] for name, command in STREAM_SERVERS.items()},
    shapes=[stream(1, 100 * KiB), stream(10, 100 * KiB)],
    checks=[stream(3, 100 * KiB)],
    telling=[stream(10, 100 * KiB)],
    latencies={},
    measures=[
        Measure("MiB/s (more is better)", "MiB/s", "mib_per_second", "speed_ratio"),
        Measure("server CPU a GiB (less is better)", "ms", "server_cpu_ms_per_gib", "cost_ratio"),
    ])

# Each message hashed so many times by FNV-1a: a server that has more to do than to echo.
HASHES = 10
BY_THREADS = Comparison(
    title="TCP echo by threads",
    first_column="connections x size",
    load="bench_echo_load",
    servers={
        "1 thread": ["bench_threads_weir", "--threads", "1"],
        "2 threads": ["bench_threads_weir", "--threads", "2"],
    },
    shapes=[stream(100, KiB)],
    checks=STREAM_CHECKS,
    where={"cpu": None},  # on any
    measures=[
        *measures_of("request"),
        Measure("processors that the load takes", "processors", "load_processors", "load_ratio",
                ".2f"),
    ],
    latencies={})
BY_THREADS_HASHED = replace(
    BY_THREADS,
    title=f"TCP echo by threads, each message hashed {HASHES} times",
    servers={name: [*command, "--hashes", str(HASHES)]
             for name, command in BY_THREADS.servers.items()})

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
