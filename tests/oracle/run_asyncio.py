#!/usr/bin/env python3
"""Runs the scenarios of the oracle on asyncio and prints their traces: see README.md.

    run_asyncio.py [--transport unix] [--certificates DIRECTORY] FILE...
"""

import argparse
import asyncio
import logging
import pathlib
import sys
import time

from asyncio_datagrams import Datagrams
from asyncio_files import Files
from asyncio_operations import Operations
from asyncio_pipes import Pipes
from asyncio_processes import Processes
from asyncio_protocols import (BufferProtocol, Callbacks, Connection, StreamProtocol, UserError,
                               kind_of, make_error, runs_of)
from asyncio_tls import Tls
from asyncio_verbs import Verbs
from script import read_scenarios

DEADLINE_SECONDS = 20


class Runner(Verbs, Files, Datagrams, Pipes, Processes, Operations, Tls):
    def __init__(self, scenario, transport, certificates):
        self.scenario = scenario
        self.certificates = certificates
        self.unix_path = "default" if transport == "unix" else None
        self.lines = []  # [actor, text, bytes or None]
        self.counts = {}
        self.fired = set()
        self.connections = {}
        self.listener = None
        self.port = None
        self.handles = {}
        self.futures = {}
        self.callbacks = {}
        self.waiters = {}
        self.sockets = {}  # by name, also the ends of pipes
        self.others = {}  # name: (kind, subject); further actors
        self.directory = None
        self.thrower = None
        self.over = False
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(False)
        self.loop.set_exception_handler(self.reported)
        self.start_time = self.loop.time()

    # --- The trace

    def trace(self, actor, text):
        if not self.over:
            self.lines.append([actor, text, None])

    def count(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def happened(self, connection, label, event, detail=""):
        name = event if label == connection.name else f"{label}.{event}"
        self.trace(connection.name, f"{name} {detail}".strip())
        return self.act_on(connection, label, event)

    def data(self, connection, label, event, data):
        name = event if label == connection.name else f"{label}.{event}"
        connection.received += data
        last = next((line for line in reversed(self.lines) if line[0] == connection.name), None)
        if last and last[1] == name and last[2] is not None:
            last[2].extend(data)
        elif not self.over:
            self.lines.append([connection.name, name, bytearray(data)])
        for at, event_name, _, actions in self.scenario.handlers:
            if at == label and event_name.startswith("received>="):
                if len(connection.received) >= int(event_name[10:]) and (at, event_name) not in self.fired:
                    self.fired.add((at, event_name))
                    self.act(connection.name, actions)
        self.act_on(connection, label, event)

    def act_on(self, connection, label, event):
        return self.act_for(connection.name, label, event)

    def act_for(self, actor, label, event):
        occurrence = self.count((label, event))
        result = None
        for at, name, only, actions in self.scenario.handlers:
            if (at, name) == (label, event) and only in (None, occurrence):
                result = self.act(actor, actions)
        return result

    def reported(self, loop, context):
        error = context.get("exception")
        message = context["message"]
        fields = [field for field in ("protocol", "transport") if field in context]
        if message.startswith("Exception in callback"):
            message = "Exception in callback"
            fields = []  # L20 asks for none
        actor = "loop"
        if isinstance(context.get("protocol"), Callbacks):
            actor = context["protocol"].connection.name
        elif self.thrower and isinstance(error, (UserError, ConnectionResetError)):
            actor = self.thrower
        self.trace(actor, " ".join(["exception_handler", message, kind_of(error)] + fields))
        if self.handler_broken:
            raise UserError("handler")

    handler_broken = False

    # --- Actions

    def act(self, actor, actions):
        result = None
        for words in actions:
            target = actor
            if self.is_actor(words[0]):
                target, words = words[0], words[1:]
            if words[0] == "return":
                result = words[1] == "true"
            elif words[0] == "throw":
                self.thrower = actor
                raise make_error(words[1])
            else:
                self.perform(target, words)
        return result

    def is_actor(self, name):
        return (name in self.connections or name in self.futures or name in self.others
                or name in ("loop", "listener", "files"))

    def perform(self, target, words):
        verb, arguments = words[0], words[1:]
        actor = target
        if target in self.connections:
            method = getattr(self, "connection_" + verb)
            subject = self.connections[target]
        elif target in self.futures:
            method = getattr(self, "future_" + verb)
            subject, actor = target, "loop"
        elif target in self.others:
            kind, subject = self.others[target]
            method = getattr(self, f"{kind}_{verb}")
        elif target == "listener":
            method = getattr(self, "listener_" + verb)
            subject = self.listener
        elif target == "files":
            method = getattr(self, "files_" + verb)
            subject = None
        else:
            method = getattr(self, "loop_" + verb)
            subject = self.loop
        try:
            method(subject, *arguments)
        except AttributeError as error:
            self.trace(actor, f"{verb} is not there: {error.name}")
        except Exception as error:
            self.trace(actor, f"{verb} raised {kind_of(error)}")

    # --- Steps

    def make_protocol(self, connection, label):
        kind = BufferProtocol if label in self.scenario.buffered else StreamProtocol
        return kind(self, connection, label)

    def factory(self, connection):
        if connection.name in self.scenario.factory_throws:
            self.thrower = connection.name
            raise make_error(self.scenario.factory_throws[connection.name])
        return self.make_protocol(connection, connection.name)

    def accept(self):
        number = sum(name.startswith("server") for name in self.connections) + 1
        name = "server" if number == 1 else f"server{number}"
        self.connections[name] = Connection(name)
        return self.factory(self.connections[name])

    def step_listen(self, *options):
        given = {"start_serving": "idle" not in options, **self.server_tls(options)}
        for option in options:
            name, equals, value = option.partition("=")
            if name == "backlog":
                given["backlog"] = int(value)
            elif name == "unix":
                self.unix_path = value
            elif name == "keep" and sys.version_info >= (3, 13):  # before, nothing is removed
                given["cleanup_socket"] = False
        if self.unix_path:
            opening = self.loop.create_unix_server(self.accept, self.path(self.unix_path), **given)
        else:
            opening = self.loop.create_server(self.accept, "127.0.0.1", 0, **given)
        try:
            self.listener = self.loop.run_until_complete(opening)
        except Exception as error:
            self.trace("listener", f"listen failed {kind_of(error)}")
            return
        if not self.unix_path:
            self.port = self.listener.sockets[0].getsockname()[1]

    def open_connection(self, factory, options):
        if self.unix_path:
            return self.loop.create_unix_connection(factory, self.path(self.unix_path),
                                                    **self.client_tls(options, "localhost"))
        return self.loop.create_connection(factory, "127.0.0.1", self.port,
                                           **self.client_tls(options, None))

    def step_start(self, name, *options):
        connection = self.connections[name] = Connection(name)
        for option in options:
            if option.startswith("unix="):
                self.unix_path = option.removeprefix("unix=")
        connection.opening = self.begin_opening(
            name, lambda: self.open_connection(lambda: self.factory(connection), options))

    def begin_opening(self, name, opening, verb="connect", part=""):
        """Tells how opening ends, as the actor NAME + PART, in the words of `verb`."""
        done_word = {"connect": "connected", "open": "opened", "spawn": "spawned"}[verb]

        async def work():
            try:
                await opening()
                self.trace(name + part, done_word)
            except Exception as error:
                self.trace(name + part, f"{verb} failed {kind_of(error)}")
            self.count((name, done_word))

        def done(task):
            if task.cancelled():
                self.trace(name + part, f"{verb} cancelled")
                self.count((name, done_word))

        task = self.loop.create_task(work())
        task.add_done_callback(done)
        return task

    def step_connect(self, name, *options):
        self.step_start(name, *options)
        self.run_until([f"{name}.connected"])

    def step_open(self, *options):
        self.step_listen(*options)
        self.step_connect("client", *[option for option in options if option == "tls"])
        self.run_until(["server.connection_made"])

    def step_settle(self):
        self.loop_settle()

    def step_future(self, name):
        self.futures[name] = self.loop.create_future()

    def iterate(self):
        self.loop.stop()
        self.loop.run_forever()

    def step_run(self, how, *rest):
        if how == "until":
            self.run_until([word for word in rest if word != "and"])
        elif how == "once":
            self.iterate()
        elif how == "forever":
            try:
                self.loop.run_forever()
            except Exception as error:
                self.trace("loop", f"run_forever raised {kind_of(error)}")
        else:
            try:
                self.loop.run_until_complete(self.futures[rest[0]])
                self.trace("loop", "run_until_complete returned")
            except BaseException as error:
                self.trace("loop", f"run_until_complete raised {kind_of(error)}")

    def holds(self, condition):
        label, event = condition.split(".")
        connection = self.connections.get(label)
        if event.startswith("received>="):
            return connection is not None and len(connection.received) >= int(event[10:])
        if event == "drained":
            return connection.transport.get_write_buffer_size() == 0
        if event == "buffered":
            return connection.transport.get_write_buffer_size() > 0
        if event == "got_all":
            return self.got_all(connection)
        event, _, times = event.partition("#")
        return self.counts.get((label, event), 0) >= int(times or 1)

    def run_until(self, conditions):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not all(self.holds(condition) for condition in conditions):
            if time.monotonic() > deadline:
                self.trace("loop", f"waited in vain for {' and '.join(conditions)}")
                return
            self.iterate()

    def run(self):
        for words in self.scenario.steps:
            if self.is_actor(words[0]):
                self.perform(words[0], words[1:])
            else:
                getattr(self, "step_" + words[0])(*words[1:])
        self.over = True
        self.clean_up()
        return [(actor, text if data is None or self.scenario.hide_data
                 else f"{text} {runs_of(data)}") for actor, text, data in self.lines]

    def clean_up(self):
        self.give_back_sockets()
        self.restore_signals()
        self.close_ends()
        self.remove_files()
        if self.loop.is_closed():
            return
        self.kill_children()
        if self.listener:
            self.listener.close()
        endpoints = [subject for kind, subject in self.others.values() if kind == "endpoint"]
        for connection in [*self.connections.values(), *endpoints]:
            transport = connection.transport
            if transport and not transport.is_closing():
                getattr(transport, "abort", transport.close)()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(5):
            self.iterate()
        self.loop.close()


class LogToTrace(logging.Handler):
    runner = None

    def emit(self, record):
        if self.runner:
            text = record.getMessage().splitlines()[0]
            # The words before are not in the contract, and name a process [P12].
            text = text[max(text.find("will report returncode"), 0):]
            self.runner.trace("log", f"{record.levelname.lower()} {text}")


def main():
    log = LogToTrace(logging.WARNING)
    logger = logging.getLogger("asyncio")
    logger.addHandler(log)
    logger.propagate = False
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--transport")
    parser.add_argument("--certificates")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    for path in options.files:
        for scenario in read_scenarios(pathlib.Path(path)):
            if options.transport and not scenario.over_any_transport():
                print(f"scenario {scenario.name}\nskipped")
                continue
            log.runner = Runner(scenario, options.transport, options.certificates)
            lines = log.runner.run()
            log.runner = None
            print(f"scenario {scenario.name}")
            if any(text.endswith(" raised NotImplementedError") for _, text in lines):
                print("skipped")  # an older release: its transport has no such method
                continue
            for actor, text in lines:
                print(f"{actor}: {text}")


if __name__ == "__main__":
    main()
