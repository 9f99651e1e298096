"""Datagram endpoints of a scenario, on asyncio."""

import asyncio
import socket

from asyncio_protocols import Connection, kind_of, make_error, shown


class Endpoint(Connection):
    kind = "endpoint"

    def __init__(self, name):
        super().__init__(name)
        self.address = None
        self.last_sender = None


class DatagramCallbacks(asyncio.DatagramProtocol):
    def __init__(self, runner, endpoint, label):
        self.runner = runner
        self.connection = endpoint
        self.label = label

    def tell(self, event, detail=""):
        self.runner.happened(self.connection, self.label, event, detail)

    def connection_made(self, transport):
        self.connection.transport = transport
        self.connection.address = transport.get_extra_info("sockname")
        self.tell("connection_made")

    def datagram_received(self, data, sender):
        self.connection.last_sender = sender
        text = data.decode() if len(data) <= 32 else f"{chr(data[0])}*{len(data)}"
        self.tell("datagram_received", f"{text or 'nothing'} from {self.runner.sender_name(sender)}")

    def error_received(self, error):
        self.tell("error_received", kind_of(error))

    def connection_lost(self, error):
        self.tell("connection_lost", kind_of(error))

    def pause_writing(self):
        self.tell("pause_writing")

    def resume_writing(self):
        self.tell("resume_writing")


class Datagrams:
    def sender_name(self, address):
        if not address:
            return "none"
        for name, (kind, endpoint) in self.others.items():
            if kind == "endpoint" and endpoint.address == address:
                return name
        return "unknown"

    def step_endpoint(self, name, *options):
        """local, remote=ENDPOINT, path=NAME, remote_path=NAME, sock=END, broadcast, inet, nowhere"""
        endpoint = Endpoint(name)
        self.others[name] = ("endpoint", endpoint)
        given = {}
        for option in options or ["local"]:
            key, _, value = option.partition("=")
            if key == "local":
                given["local_addr"] = ("127.0.0.1", 0)
            elif key == "local6":
                given["local_addr"] = ("::1", 0)
            elif key == "remote":
                given["remote_addr"] = self.others[value][1].address
            elif key == "nobody":
                given["remote_addr"] = self.free_address()
            elif key in ("path", "remote_path"):
                given["family"] = socket.AF_UNIX
                given["local_addr" if key == "path" else "remote_addr"] = self.path(value)
            elif key == "sock":
                given["sock"] = self.sockets[value]
            elif key == "broadcast":
                given["allow_broadcast"] = True
            elif key == "inet":
                given["family"] = socket.AF_INET
            elif key != "nowhere":
                raise ValueError(option)

        def factory():
            if name in self.scenario.factory_throws:
                raise make_error(self.scenario.factory_throws[name])
            return DatagramCallbacks(self, endpoint, name)

        endpoint.opening = self.begin_opening(
            name, lambda: self.loop.create_datagram_endpoint(factory, **given), "open")
        self.run_until([f"{name}.opened"])
        if endpoint.transport:
            self.sockets = {key: sock for key, sock in self.sockets.items()
                            if sock is not given.get("sock")}  # the transport's now

    def free_address(self):
        """Where nobody receives."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            return sock.getsockname()

    def destination(self, to):
        if not to:
            return None
        if to[0] == "nobody":
            return self.free_address()
        return self.others[to[0]][1].address

    def endpoint_sendto(self, endpoint, text, *to):
        endpoint.transport.sendto(text.encode(), self.destination(to))

    def endpoint_sendto_empty(self, endpoint, *to):
        endpoint.transport.sendto(b"", self.destination(to))

    def endpoint_sendto_repeat(self, endpoint, count, char, *to):
        endpoint.transport.sendto(char.encode() * int(count), self.destination(to))

    def endpoint_sendto_times(self, endpoint, times, text, *to):
        for _ in range(int(times)):
            self.endpoint_sendto(endpoint, text, *to)

    def endpoint_reply(self, endpoint, text):
        endpoint.transport.sendto(text.encode(), endpoint.last_sender)

    def endpoint_clog(self, endpoint, *to):
        """Sends until a datagram has to wait."""
        while not endpoint.transport.get_write_buffer_size():
            self.endpoint_sendto(endpoint, "clog", *to)

    def endpoint_close(self, endpoint):
        endpoint.transport.close()

    def endpoint_abort(self, endpoint):
        endpoint.transport.abort()

    def endpoint_pause_reading(self, endpoint):
        endpoint.transport.pause_reading()

    def endpoint_resume_reading(self, endpoint):
        endpoint.transport.resume_reading()

    def endpoint_set_protocol(self, endpoint, label):
        endpoint.transport.set_protocol(DatagramCallbacks(self, endpoint, label))

    endpoint_set_write_buffer_limits = lambda self, *arguments: \
        self.connection_set_write_buffer_limits(*arguments)

    def endpoint_print(self, endpoint, what, *arguments):
        transport = endpoint.transport
        values = {
            "is_closing": lambda: transport.is_closing(),
            "is_reading": lambda: transport.is_reading(),
            "limits": lambda: "%d %d" % transport.get_write_buffer_limits(),
            "size": lambda: transport.get_write_buffer_size(),
            "buffered": lambda: transport.get_write_buffer_size() > 0,
            "extra": lambda: "absent" if transport.get_extra_info(arguments[0]) is None else "present",
        }
        self.trace(endpoint.name,
                   " ".join(["print", what, *arguments, shown(values[what]())]))
