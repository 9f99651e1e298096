"""The echo comparison: every server over every shape of traffic, in interleaved rounds."""

import time

from harness import ServerFailed, median, run_load, running_server, table

KiB = 1024
SHAPES = [  # connections, size, pipeline
    (1, KiB, 1),
    (10, KiB, 1),
    (100, KiB, 1),
    (1000, KiB, 1),
    (100, 64, 1),
    (100, 10 * KiB, 1),
    (100, 100 * KiB, 1),
    (10, KiB, 16),
]


def shape_name(shape):
    connections, size, pipeline = shape
    unit = f"{size // KiB} KiB" if size % KiB == 0 else f"{size} B"
    deep = f", {pipeline} deep" if pipeline > 1 else ""
    return f"{connections:,} x {unit}{deep}"


def check(build, servers):
    """Every byte of every server's answers, once, before any is timed. Leaves out who fails."""
    sound = {}
    for name, command in servers.items():
        try:
            with running_server(command) as (server, port):
                for size in (1, 64 * KiB + 1, 300 * KiB):
                    run_load(build, port, server.pid, 20, size, 3, duration=0.05, warm_up=0,
                             verify=True)
            sound[name] = command
        except ServerFailed as failure:
            print(f"{name} does not echo, left out: {failure}")
    return sound


def measure(build, servers, shapes, rounds, seconds):
    """{shape: {server: [report, one a round]}}. Servers take turns within a round, and the one that
    begins changes, so a machine that slows down or speeds up favours none."""
    reports = {shape: {name: [] for name in servers} for shape in shapes}
    names = list(servers)
    for shape in shapes:
        for round_number in range(rounds):
            first = round_number % len(names)
            for name in names[first:] + names[:first]:
                with running_server(servers[name]) as (server, port):
                    report = run_load(build, port, server.pid, *shape, duration=seconds,
                                      warm_up=min(0.2, seconds / 4))
                reports[shape][name].append(report)
    return reports


def ratios(reports, baseline, key):
    """Each round's ratio to the baseline of the same round."""
    return [mine[key] / theirs[key] for mine, theirs in zip(reports, baseline)]


def summarize(reports):
    """[{shape, servers: {name: medians}}], with ratios to the first server."""
    summary = []
    for shape, by_server in reports.items():
        baseline = next(iter(by_server.values()))
        servers = {}
        for name, runs in by_server.items():
            figures = {key: median([run[key] for run in runs]) for key in runs[0]}
            speed = ratios(runs, baseline, "requests_per_second")
            cost = ratios(runs, baseline, "server_cpu_us_per_request")
            figures["speed_ratio"], figures["cost_ratio"] = median(speed), median(cost)
            figures["speed_ratio_range"] = [min(speed), max(speed)]
            figures["cost_ratio_range"] = [min(cost), max(cost)]
            servers[name] = figures
        summary.append({"shape": shape_name(shape), "connections": shape[0], "size": shape[1],
                        "pipeline": shape[2], "servers": servers})
    return summary


def show(summary):
    first, *others = names = list(summary[0]["servers"])

    def show_ratios(title, unit, absolute, ratio, form):
        rows = [[entry["shape"], format(entry["servers"][first][absolute], form)]
                + [f"{entry['servers'][name][ratio]:.2f}" for name in others] for entry in summary]
        print(f"\n{title}: {first} in {unit}, the others as a ratio to it\n")
        print(table(["connections x size", *names], rows))

    show_ratios("Requests/s (more is better)", "requests/s", "requests_per_second", "speed_ratio",
                ",.0f")
    show_ratios("Server CPU a request (less is better)", "us", "server_cpu_us_per_request",
                "cost_ratio", ".2f")
    for key, title in (("p50_us", "Median latency"), ("p99_us", "99th percentile latency")):
        rows = [[entry["shape"]] + [f"{entry['servers'][name][key]:,.0f}" for name in names]
                for entry in summary]
        print(f"\n{title}, us\n")
        print(table(["connections x size", *names], rows))


def run(build, servers, rounds, seconds, shapes=SHAPES):
    started = time.monotonic()
    summary = summarize(measure(build, servers, shapes, rounds, seconds))
    show(summary)
    print(f"\n{rounds} rounds of {seconds} s each, medians; "
          f"{time.monotonic() - started:.0f} s in all")
    return summary
