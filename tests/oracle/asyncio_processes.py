"""Child processes of a scenario, on asyncio. What each pipe tells is traced apart, as NAME.FD, the
exit as NAME.exit, and the end of spawning as NAME.start: how these are ordered is nobody's contract
[P8]."""

import asyncio
import os
import signal
import subprocess

from asyncio_protocols import Connection, kind_of, make_error, shown

STDIO = {"pipe": subprocess.PIPE, "devnull": subprocess.DEVNULL, "inherit": None,
         "merge": subprocess.STDOUT}


OPTIONS = ("stdin", "stdout", "stderr", "cwd", "env", "pass", "close_fds")


class Child(Connection):
    pass


class ProcessCallbacks(asyncio.SubprocessProtocol):
    def __init__(self, runner, child):
        self.runner = runner
        self.child = child

    def tell(self, event, detail="", part=""):
        self.runner.trace(self.child.name + part, f"{event} {detail}".strip())
        self.runner.act_for(self.child.name, self.child.name, event)

    def connection_made(self, transport):
        self.child.transport = transport
        self.tell("connection_made")

    def pipe_data_received(self, fd, data):
        part = self.runner.pipes.setdefault(f"{self.child.name}.{fd}", Connection(f"{self.child.name}.{fd}"))
        self.runner.data(part, part.name, "data", data)
        self.runner.act_for(self.child.name, self.child.name, "pipe_data_received")

    def pipe_connection_lost(self, fd, error):
        self.tell("pipe_connection_lost", kind_of(error), f".{fd}")
        self.runner.count((self.child.name, f"lost_{fd}"))

    def process_exited(self):
        transport = self.child.transport
        self.tell("process_exited", shown(transport.get_returncode()) if transport else "", ".exit")

    def connection_lost(self, error):
        self.tell("connection_lost", kind_of(error))

    def pause_writing(self):
        self.tell("pause_writing", "", ".0")

    def resume_writing(self):
        self.tell("resume_writing", "", ".0")


class Processes:
    pipes = None

    def step_spawn(self, name, *words):
        self.step_spawning(name, *words)
        self.run_until([f"{name}.spawned"])

    def step_spawning(self, name, *words):
        self.start_child(name, words, lambda factory, command, options:
                         self.loop.subprocess_exec(factory, *command, **options))

    def step_shell(self, name, *words):
        self.start_child(name, words, lambda factory, command, options:
                         self.loop.subprocess_shell(factory, " ".join(command), **options))
        self.run_until([f"{name}.spawned"])

    def start_child(self, name, words, start):
        """[stdin=...] [stdout=...] [stderr=...] [cwd=DIRECTORY] [env=NAME=VALUE] [pass=END]
        [close_fds=false] COMMAND..."""
        if self.pipes is None:
            self.pipes = {}
        child = Child(name)
        self.others[name] = ("child", child)
        options, command = {}, list(words)
        while command and command[0].partition("=")[0] in OPTIONS:
            key, _, value = command.pop(0).partition("=")
            if key == "env":
                options[key] = dict([value.split("=", 1)])
            elif key == "pass":
                options["pass_fds"] = [self.sockets[value].fileno()]
            elif key == "close_fds":
                options[key] = value != "false"
            else:
                options[key] = STDIO.get(value, value)

        def factory():
            if name in self.scenario.factory_throws:
                raise make_error(self.scenario.factory_throws[name])
            return ProcessCallbacks(self, child)

        child.opening = self.begin_opening(
            name, lambda: start(factory, joined(command), options), "spawn", ".start")

    def pipe_of(self, child, fd):
        return child.transport.get_pipe_transport(int(fd))

    def child_write(self, child, text):
        self.pipe_of(child, 0).write(text.encode() + b"\n")

    def child_write_repeat(self, child, count, char):
        self.pipe_of(child, 0).write(char.encode() * int(count))

    def child_write_eof(self, child):
        self.pipe_of(child, 0).write_eof()

    def child_close_pipe(self, child, fd):
        self.pipe_of(child, fd).close()

    def child_cancel_spawn(self, child):
        child.opening.cancel()

    def child_drop(self, child):
        child.transport = None

    def child_close(self, child):
        child.transport.close()

    def child_kill(self, child):
        child.transport.kill()

    def child_terminate(self, child):
        child.transport.terminate()

    def child_send_signal(self, child, name):
        child.transport.send_signal(getattr(signal, name))

    def child_print(self, child, what, *arguments):
        transport = child.transport
        values = {
            "returncode": lambda: transport.get_returncode(),
            "has_pid": lambda: transport.get_pid() > 0,
            "is_closing": lambda: transport.is_closing(),
            "pipe": lambda: "absent" if self.pipe_of(child, *arguments) is None else "present",
        }
        self.trace(child.name, " ".join(["print", what, *arguments, shown(values[what]())]))

    def loop_await_exit(self, loop):
        """Blocks until a child has exited, and does not reap it."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # somebody has reaped it already

    def has_children(self):
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return False
        return True

    def kill_children(self):
        children = [subject for kind, subject in self.others.values() if kind == "child"]
        for child in children:
            if child.transport:
                child.transport.close()
                while child.transport.get_returncode() is None:
                    self.iterate()


def joined(words):
    """["sh", "-c", "'exit", "3'"] as ["sh", "-c", "exit 3"]."""
    result, quoted = [], None
    for word in words:
        if quoted is None and word.startswith("'"):
            quoted, word = [], word[1:]
        if quoted is None:
            result.append(word)
            continue
        quoted.append(word.removesuffix("'"))
        if word.endswith("'"):
            result.append(" ".join(quoted))
            quoted = None
    return result
