"""The protocols of the scenarios on asyncio, and how things are told in a trace."""

import asyncio
import errno


class UserError(Exception):
    pass


def make_error(kind):
    return {"UserError": UserError, "ConnectionResetError": ConnectionResetError}[kind](kind)


# OSErrors that Python has no name for, by the errno that tests need.
OS_KINDS = {errno.EADDRINUSE: "AddressInUse", errno.EDESTADDRREQ: "DestinationRequired",
            errno.EMSGSIZE: "MessageTooLong"}


def kind_of(error):
    if error is None:
        return "none"
    if type(error) is OSError:
        return OS_KINDS.get(error.errno, "OSError")
    return type(error).__name__


def shown(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def runs_of(data):
    """Bytes as text in one line, repeated ones as x*1000."""
    if len(data) <= 32:
        return data.decode().replace("\n", "\\n")
    parts = []
    begin = 0
    while begin < len(data):
        char = data[begin:begin + 1]
        end = begin
        while data[end:end + 1] == char:
            end = min(end + 65536, len(data)) if data[end:end + 65536] == char * 65536 else end + 1
        parts.append(f"{char.decode()}*{end - begin}")
        begin = end
    return "+".join(parts)


class Connection:
    def __init__(self, name):
        self.name = name
        self.label = name
        self.transport = None
        self.sent = bytearray()
        self.received = bytearray()
        self.buffer_size = 65536
        self.opening = None


class Callbacks:
    """What both kinds of protocols do: tell the interpreter."""

    def __init__(self, runner, connection, label):
        self.runner = runner
        self.connection = connection
        self.label = label

    def tell(self, event, detail=""):
        return self.runner.happened(self.connection, self.label, event, detail)

    def connection_made(self, transport):
        self.connection.transport = transport
        self.tell("connection_made")

    def connection_lost(self, error):
        self.tell("connection_lost", kind_of(error))

    def eof_received(self):
        return self.tell("eof_received")

    def pause_writing(self):
        self.tell("pause_writing")

    def resume_writing(self):
        self.tell("resume_writing")


class StreamProtocol(Callbacks, asyncio.Protocol):
    def data_received(self, data):
        self.runner.data(self.connection, self.label, "data_received", bytes(data))


class BufferProtocol(Callbacks, asyncio.BufferedProtocol):
    def get_buffer(self, hint):
        self.runner.act_on(self.connection, self.label, "get_buffer")
        self.buffer = bytearray(self.connection.buffer_size)
        return self.buffer

    def buffer_updated(self, count):
        self.runner.data(self.connection, self.label, "buffer_updated", bytes(self.buffer[:count]))
