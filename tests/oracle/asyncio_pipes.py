"""Pipe transports of a scenario, on asyncio: connections over one direction."""

from asyncio_protocols import Connection


class Pipes:
    def step_read_pipe(self, name, end):
        self.connect_pipe(name, end, self.loop.connect_read_pipe)

    def step_write_pipe(self, name, end):
        self.connect_pipe(name, end, self.loop.connect_write_pipe)

    def connect_pipe(self, name, end, connect):
        connection = self.connections[name] = Connection(name)
        connection.opening = self.begin_opening(
            name, lambda: connect(lambda: self.factory(connection), self.sockets[end]))
        self.run_until([f"{name}.connected"])
        if connection.transport:
            del self.sockets[end]  # the transport's now
