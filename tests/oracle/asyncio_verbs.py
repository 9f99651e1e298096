"""What the actors of a scenario can do, on asyncio: see README.md."""

import os

from asyncio_protocols import kind_of, make_error, shown

SETTLE_ITERATIONS = 30


class Verbs:
    """Methods are named after actor and verb, and find the rest in Runner."""

    # --- Connections

    def write(self, connection, data):
        before = connection.transport.is_closing() and not connection.transport.get_write_buffer_size()
        connection.transport.write(data)
        if not before:
            connection.sent += data

    def connection_write(self, connection, text):
        self.write(connection, text.encode())

    def connection_write_repeat(self, connection, count, char):
        self.write(connection, char.encode() * int(count))

    def connection_write_empty(self, connection):
        connection.transport.write(b"")

    def connection_writelines(self, connection, *texts):
        connection.transport.writelines([b"" if text == "-" else text.encode() for text in texts])
        connection.sent += "".join(text for text in texts if text != "-").encode()

    def connection_write_eof(self, connection):
        connection.transport.write_eof()

    def connection_close(self, connection):
        connection.transport.close()

    def connection_abort(self, connection):
        connection.transport.abort()

    def connection_pause_reading(self, connection):
        connection.transport.pause_reading()

    def connection_resume_reading(self, connection):
        connection.transport.resume_reading()

    def connection_buffer(self, connection, size):
        connection.buffer_size = int(size)

    def connection_set_write_buffer_limits(self, connection, *limits):
        given = {}
        for limit in limits:
            name, value = limit.split("=")
            base = connection.transport.get_write_buffer_size() if value[0] == "+" else 0
            given[name] = base + int(value)
        connection.transport.set_write_buffer_limits(**given)

    def connection_set_protocol(self, connection, label):
        connection.transport.set_protocol(self.make_protocol(connection, label))
        connection.label = label

    def connection_cancel_connect(self, connection):
        connection.opening.cancel()

    def connection_clog(self, connection):
        """Writes until the kernel takes no more from this end."""
        connection.transport.set_write_buffer_limits(high=1 << 30)
        while True:
            while not connection.transport.get_write_buffer_size():
                self.write(connection, b"c" * 65536)
            self.loop_settle()
            if connection.transport.get_write_buffer_size():
                return

    def got_all(self, connection):
        peers = {"client": "server", "server": "client", "reader": "writer"}
        peer = peers[connection.name[:6]] + connection.name[6:]
        return connection.received == self.connections[peer].sent

    def connection_print(self, connection, name, *arguments):
        transport = connection.transport
        values = {
            "is_closing": lambda: transport.is_closing(),
            "is_reading": lambda: transport.is_reading(),
            "can_write_eof": lambda: transport.can_write_eof(),
            "limits": lambda: "%d %d" % transport.get_write_buffer_limits(),
            "size": lambda: transport.get_write_buffer_size(),
            "buffered": lambda: transport.get_write_buffer_size() > 0,
            "protocol": lambda: getattr(transport.get_protocol(), "label", "none"),
            "extra": lambda: "absent" if transport.get_extra_info(arguments[0]) is None else "present",
            "got_all": lambda: self.got_all(connection),
        }
        self.trace(connection.name, " ".join(["print", name, *arguments, shown(values[name]())]))

    # --- The listener

    def listener_close(self, listener):
        listener.close()

    def listener_close_clients(self, listener):
        listener.close_clients()

    def listener_abort_clients(self, listener):
        listener.abort_clients()

    def wait(self, name, coroutine):
        def done(task):
            outcome = "cancelled" if task.cancelled() else kind_of(task.exception())
            self.trace("listener", f"{name} {outcome}")
            self.count(("listener", name))

        self.waiters[name] = self.loop.create_task(coroutine)
        self.waiters[name].add_done_callback(done)

    def listener_start_serving(self, listener):
        self.loop.run_until_complete(listener.start_serving())

    def listener_wait_closed(self, listener, name):
        self.wait(name, listener.wait_closed())

    def listener_serve_forever(self, listener, name):
        self.wait(name, listener.serve_forever())

    def listener_cancel(self, listener, name):
        self.waiters[name].cancel()

    def listener_print(self, listener, name):
        value = listener.is_serving() if name == "is_serving" else len(listener.sockets)
        self.trace("listener", f"print {name} {shown(value)}")

    # --- The loop

    def callback(self, name):
        def call(*_):
            self.trace("loop", name)
            self.act_for("loop", "loop", name)

        return self.callbacks.setdefault(name, call)

    def loop_call_soon(self, loop, name):
        self.handles[name] = loop.call_soon(self.callback(name))

    def loop_call_soon_threadsafe(self, loop, name):
        self.handles[name] = loop.call_soon_threadsafe(self.callback(name))

    def loop_call_later(self, loop, name, milliseconds):
        self.handles[name] = loop.call_later(float(milliseconds) / 1000, self.callback(name))

    def loop_call_at(self, loop, name, milliseconds):
        when = self.start_time + float(milliseconds) / 1000
        self.handles[name] = loop.call_at(when, self.callback(name))

    def loop_cancel(self, loop, name):
        self.handles[name].cancel()

    def loop_stop(self, loop):
        loop.stop()

    def loop_close(self, loop):
        loop.close()

    def loop_run(self, loop):
        loop.run_forever()

    def loop_handler(self, loop, kind):
        self.handler_broken = kind == "broken"

    def loop_report(self, loop, *words):
        loop.call_exception_handler({"message": " ".join(words)})

    def loop_add_reader(self, loop, end, name):
        loop.add_reader(self.sockets[end].fileno(), self.callback(name))

    def loop_add_writer(self, loop, end, name):
        loop.add_writer(self.sockets[end].fileno(), self.callback(name))

    def loop_remove_reader(self, loop, end):
        self.trace("loop", f"remove_reader {shown(loop.remove_reader(self.sockets[end].fileno()))}")

    def loop_remove_writer(self, loop, end):
        self.trace("loop", f"remove_writer {shown(loop.remove_writer(self.sockets[end].fileno()))}")

    def loop_send(self, loop, end, text):
        os.write(self.sockets[end].fileno(), text.encode())

    def loop_recv(self, loop, end):
        self.trace("loop", f"recv {os.read(self.sockets[end].fileno(), 65536).decode()}".strip())

    def loop_shut(self, loop, end):
        self.sockets[end].close()

    def loop_print(self, loop, name, *arguments):
        if name == "cancelled":
            value = self.handles[arguments[0]].cancelled()
        elif name == "has_children":
            value = self.has_children()
        else:
            value = getattr(loop, name)()
        self.trace("loop", " ".join(["print", name, *arguments, shown(value)]))

    def loop_settle(self):
        for _ in range(SETTLE_ITERATIONS):
            self.loop.call_later(0.001, self.loop.stop)
            self.loop.run_forever()

    # --- Futures

    def future_set_result(self, name):
        self.futures[name].set_result(None)

    def future_set_exception(self, name, kind):
        self.futures[name].set_exception(make_error(kind))

    def future_cancel(self, name):
        self.trace("loop", f"{name} cancel {shown(self.futures[name].cancel())}")

    def future_add_done_callback(self, name, callback):
        self.futures[name].add_done_callback(self.callback(callback))

    def future_remove_done_callback(self, name, callback):
        removed = self.futures[name].remove_done_callback(self.callback(callback))
        self.trace("loop", f"{name} removed {removed}")

    def future_drop(self, name):
        self.futures[name] = None

    def future_print(self, name, what):
        future = self.futures[name]
        try:
            value = getattr(future, what)()
        except BaseException as error:
            value = "raised " + kind_of(error)
        if what == "exception" and not isinstance(value, str):
            value = kind_of(value)
        self.trace("loop", f"{name} {what} {shown(value).lower() if value is None else shown(value)}")
