"""What a loop does once and then tells the outcome of, on asyncio: sendfile, the sock_* calls, work
for threads; and signals. Each operation has a name, under which its outcome is traced."""

import fcntl
import os
import signal
import socket

from asyncio_protocols import kind_of, make_error, shown


class Operations:
    operations = None
    borrowed = None  # sockets that belong to transports
    ignored_signals = ()

    def operate(self, actor, name, work):
        """Starts `work`, a coroutine; its result is text."""
        async def operation():
            try:
                text = await work
            except Exception as error:
                text = f"raised {kind_of(error)}"
            self.trace(actor, f"{name} {text}".strip())
            self.act_for(actor, actor, name)

        def done(task):
            if task.cancelled():
                self.trace(actor, f"{name} cancelled")
                self.count((actor, name))

        if self.operations is None:
            self.operations = {}
        task = operation()
        try:
            self.operations[name] = self.loop.create_task(task)
        except RuntimeError:  # the loop is closed
            task.close()
            work.close()
            raise
        self.operations[name].add_done_callback(done)

    def loop_cancel_operation(self, loop, name):
        self.operations[name].cancel()

    # --- sendfile

    def connection_refuse_sendfile(self, connection):
        """From now on the system sends no files over this socket: it would have to append."""
        number = connection.transport.get_extra_info("socket").fileno()
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        fcntl.fcntl(number, fcntl.F_SETFL, flags | os.O_APPEND)

    def connection_sendfile(self, connection, name, file, *options):
        async def work():
            sent = await self.loop.sendfile(connection.transport, self.sockets[file],
                                            **sendfile_options(options))
            connection.sent += b"f" * sent
            return str(sent)
        self.operate(connection.name, name, work())

    def loop_sock_sendfile(self, loop, name, end, file, *options):
        async def work():
            return str(await loop.sock_sendfile(self.socket_of(end), self.sockets[file],
                                                **sendfile_options(options)))
        self.operate("loop", name, work())

    # --- sock_*

    def socket_of(self, end):
        """An end, or the socket of a connection, which is the transport's."""
        if end in self.sockets:
            return self.sockets[end]
        number = self.connections[end].transport.get_extra_info("socket").fileno()
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        self.borrowed = [*(self.borrowed or ()), sock]
        return sock

    def give_back_sockets(self):
        for sock in self.borrowed or ():
            sock.detach()

    def loop_sock_recv(self, loop, name, end, count):
        async def work():
            return (await loop.sock_recv(self.socket_of(end), int(count))).decode()
        self.operate("loop", name, work())

    def loop_sock_recv_all(self, loop, name, end):
        """Receives to the end of the stream; the result is how much came."""
        async def work():
            total = 0
            while data := await loop.sock_recv(self.socket_of(end), 1 << 16):
                total += len(data)
            return str(total)
        self.operate("loop", name, work())

    def loop_sock_recv_into(self, loop, name, end, count):
        async def work():
            buffer = bytearray(int(count))
            size = await loop.sock_recv_into(self.socket_of(end), buffer)
            return f"{size} {buffer[:size].decode()}".strip()
        self.operate("loop", name, work())

    def loop_sock_recvfrom(self, loop, name, end, count):
        async def work():
            data, _ = await loop.sock_recvfrom(self.socket_of(end), int(count))
            return data.decode()
        self.operate("loop", name, work())

    def loop_sock_sendall(self, loop, name, end, text):
        async def work():
            await loop.sock_sendall(self.socket_of(end), text.encode())
            return "done"
        self.operate("loop", name, work())

    def loop_sock_sendall_repeat(self, loop, name, end, count, char):
        async def work():
            await loop.sock_sendall(self.socket_of(end), char.encode() * int(count))
            return "done"
        self.operate("loop", name, work())

    def loop_sock_accept(self, loop, name, end):
        async def work():
            sock, _ = await loop.sock_accept(self.socket_of(end))
            self.sockets[name] = sock
            return "accepted"
        self.operate("loop", name, work())

    def loop_sock_connect(self, loop, name, end, listening):
        address = self.sockets[listening].getsockname() if listening in self.sockets \
            else self.free_address()

        async def work():
            await loop.sock_connect(self.socket_of(end), address)
            return "connected"
        self.operate("loop", name, work())

    # --- Threads

    def loop_run_in_executor(self, loop, name, *what):
        def job():
            if what:
                raise make_error(what[0])
            return "done"

        async def work():
            return await loop.run_in_executor(None, job)
        self.operate("loop", name, work())

    def loop_shutdown_default_executor(self, loop, name):
        async def work():
            await loop.shutdown_default_executor()
            return "done"
        self.operate("loop", name, work())

    # --- Signals

    def loop_add_signal_handler(self, loop, number, name):
        loop.add_signal_handler(signal_number(number), self.callback(name))

    def loop_remove_signal_handler(self, loop, number):
        removed = loop.remove_signal_handler(signal_number(number))
        self.trace("loop", f"remove_signal_handler {shown(removed)}")

    def loop_kill(self, loop, number):
        os.kill(os.getpid(), signal_number(number))

    def loop_ignore(self, loop, number):
        """This process does, until the scenario is over."""
        signal.signal(signal_number(number), signal.SIG_IGN)
        self.ignored_signals = (*self.ignored_signals, signal_number(number))

    def restore_signals(self):
        for number in self.ignored_signals:
            signal.signal(number, signal.SIG_DFL)


def sendfile_options(options):
    given = {}
    for option in options:
        name, _, value = option.partition("=")
        given[name] = False if value == "false" else int(value)
    return given


def signal_number(text):
    return int(text) if text.lstrip("-").isdigit() else getattr(signal, text)
