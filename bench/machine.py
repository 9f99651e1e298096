"""What the figures depend on: the machine, the compiler, the versions of all that is compared."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

import harness

PACKAGES = ["libssl-dev", "liburing-dev", "libuv1-dev", "libasio-dev", "libevent-dev",
            "libbenchmark-dev", "python3", "python3-uvloop", "haproxy", "socat"]


def describe(build):
    """{what: it}, for the JSON."""
    release = platform.release().split("-")[0]  # without the name of somebody's build
    return {
        "processor": _value_of("/proc/cpuinfo", "model name"),
        "processors": os.cpu_count(),
        "kernel": f"{platform.system()} {release} {platform.machine()}",
        "distribution": _value_of("/etc/os-release", "PRETTY_NAME"),
        "compiler": _compiler(build.parent),
        "packages": _versions(),
        "commit": _output("git", "-C", harness.ROOT, "describe", "--always", "--dirty",
                          "--abbrev=12", "--exclude=*"),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
    }


def summary(description):
    """The machine in one line."""
    return ("{processor}, {processors} processors, {kernel}, {distribution}, {compiler}"
            .format(**description))


def _value_of(file, name):
    """What a file of lines such as `name: value` or `name:TYPE=value` says; the first counts."""
    found = re.search(rf"^{name}(?::\w+)?\s*[:=] *(.*)$", Path(file).read_text(), re.MULTILINE)
    return found[1].strip('"') if found else f"unknown {name}"


def _compiler(build):
    """The one that the programs were built with, and how, as CMake remembers."""
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        return "unknown compiler"
    version = _output(_value_of(cache, "CMAKE_CXX_COMPILER"), "--version").split("\n")[0]
    return f"{version}, {_value_of(cache, 'CMAKE_BUILD_TYPE')}"


def _versions():
    """Of Debian's packages; elsewhere of none."""
    listed = _output("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES)
    return dict(line.split() for line in listed.splitlines() if len(line.split()) == 2)


def _output(*command):
    """Empty if there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
