#!/usr/bin/env python3
"""Plants the faults of mutants.txt in a copy of the sources, one at a time, and runs the tests.

    run.py WORK_DIR [NAME...]      only those whose name contains one of NAME

A fault that no test notices is a hole in the tests: it is named, and the exit status is 1. The copy and
its build stay in WORK_DIR, so that a second run is quicker.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# Of the test programs; the next is run only if the one before has noticed nothing.
PROGRAMS = ("weir_behaviour_tests", "weir_simulation_tests", "weir_unit_tests")
SHARDS = os.cpu_count() or 1
SECONDS = 300


class Mutant:
    def __init__(self, block):
        lines = block.splitlines()
        self.name, self.file = lines[0], lines[1]
        self.before = [line[1:].strip() for line in lines[2:] if line.startswith("-")]
        self.after = [line[1:].strip() for line in lines[2:] if line.startswith("+")]
        if not self.before or len(self.before) + len(self.after) != len(lines) - 2:
            sys.exit(f"mutants.txt: '{self.name}' needs a file, lines with -, and lines with + behind them")

    def applied_to(self, text):
        """The text with the fault in it."""
        lines = [r"[ \t]*" + r"\s+".join(re.escape(word) for word in line.split())
                 for line in self.before]
        pattern = re.compile(r"[ \t]*\n".join(lines))
        found = pattern.findall(text)
        if len(found) != 1:
            sys.exit(f"mutants.txt: '{self.name}': its lines are {len(found)} times in {self.file}, not once")
        return pattern.sub(lambda _: "\n".join(self.after), text)


def mutants():
    text = (HERE / "mutants.txt").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [Mutant(block) for block in re.split(r"\n{2,}", text.strip())]


def copy_sources(target):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    wanted = {name for name in listed if (ROOT / name).is_file()}
    for name in wanted:
        path = target / name
        new = (ROOT / name).read_bytes()
        if path.is_file() and path.read_bytes() == new:
            continue  # what did not change is not compiled again
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path)
    for path in [p for p in target.rglob("*") if p.is_file()]:
        if str(path.relative_to(target)) not in wanted:
            path.unlink()


def build(directory):
    return subprocess.run(["cmake", "--build", directory, "--parallel", "--target", *PROGRAMS],
                          capture_output=True, text=True)


def configure(source, directory):
    # Shared, so that the test programs need not be linked again; and nothing that takes time to compile.
    subprocess.run(["cmake", "-S", source, "-B", directory, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                    "-DCMAKE_CXX_FLAGS_DEBUG=-D_GLIBCXX_ASSERTIONS", "-DBUILD_SHARED_LIBS=ON",
                    "-DWEIR_BUILD_EXAMPLES=OFF", "-DWEIR_BUILD_TOOLS=OFF", "-DWEIR_INSTALL=OFF",
                    "--log-level=WARNING"], check=True)


def first_failure(output, status):
    """How a test program that ended so has noticed."""
    violated = re.search(r"contract violated \[\w+\]: .*", output)
    running = re.findall(r"^\[ RUN +\] (\S+)", output, re.MULTILINE)
    failed = re.search(r"^\[  FAILED  \] (\S+)", output, re.MULTILINE)
    test = failed.group(1).rstrip(",") if failed else running[-1] if running else "no test"
    if violated:
        return f"{violated.group(0)} (in {test})"
    return test if failed else f"{test} (ended by signal {-status})"


def noticed_by(directory):
    """What the first test to fail says, None if all pass."""
    environment = dict(os.environ, WEIR_CHECK="1", GTEST_FAIL_FAST="1",
                       GTEST_TOTAL_SHARDS=str(SHARDS))
    for program in PROGRAMS:
        outputs = [open(directory / f"{program}.{shard}.log", "w+") for shard in range(SHARDS)]
        running = [subprocess.Popen([directory / "tests" / program], stdout=output,
                                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                    env=dict(environment, GTEST_SHARD_INDEX=str(shard)))
                   for shard, output in enumerate(outputs)]
        until = time.monotonic() + SECONDS
        failed = None
        while failed is None and any(process.poll() is None for process in running):
            failed = next((i for i, process in enumerate(running) if process.poll()), None)
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        if failed is None:
            failed = next((i for i, process in enumerate(running) if process.poll()), None)
        late = [process for process in running if process.poll() is None]
        for process in late:
            process.kill()
            process.wait()
        if failed is None and late:
            return f"{program}: still running after {SECONDS} s"
        if failed is not None:
            outputs[failed].seek(0)
            return first_failure(outputs[failed].read(), running[failed].returncode)
    return None


def main(work, *names):
    work = pathlib.Path(work).resolve()
    source, directory = work / "source", work / "build"
    planned = [m for m in mutants() if not names or any(name in m.name for name in names)]
    if not planned:
        sys.exit(f"no mutant is named like {' or '.join(names)}")
    copy_sources(source)
    for mutant in planned:
        mutant.applied_to((source / mutant.file).read_text())  # all of them fit, before the long part
    configure(source, directory)
    built = build(directory)
    if built.returncode:
        sys.exit(built.stdout + built.stderr)
    if sound := noticed_by(directory):
        sys.exit(f"without a mutant the tests fail: {sound}")
    survivors = 0
    for number, mutant in enumerate(planned, 1):
        path = source / mutant.file
        original = path.read_text()
        path.write_text(mutant.applied_to(original))
        try:
            built = build(directory)
            found = noticed_by(directory) if built.returncode == 0 else None
        finally:
            path.write_text(original)
        if built.returncode:
            sys.exit(f"'{mutant.name}' does not compile:\n{built.stdout}")
        survivors += found is None
        print(f"{number:3} {'caught  ' if found else 'SURVIVED'} {mutant.name}", flush=True)
        if found:
            print(f"             {found}", flush=True)
    print(f"{len(planned) - survivors} of {len(planned)} mutants caught")
    return int(survivors > 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
