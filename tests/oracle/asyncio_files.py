"""Raw descriptors and files of a scenario: socket pairs, pipes, paths, regular files."""

import os
import pathlib
import socket
import stat
import tempfile
import tty

from asyncio_protocols import shown


class Files:
    # --- Paths, in a directory of the scenario's own; "@name" is an abstract one

    def path(self, name):
        if name.startswith("@"):
            return f"\0weir-oracle-{os.getpid()}-{id(self)}-{name[1:]}"
        if not self.directory:
            self.directory = tempfile.TemporaryDirectory(prefix="oracle")
        return os.path.join(self.directory.name, name)

    def files_make(self, _, name):
        pathlib.Path(self.path(name)).write_text("a file")

    def files_stale(self, _, name):
        """A socket's file that nobody listens on any more."""
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.path(name))

    def files_remove(self, _, name):
        os.unlink(self.path(name))

    def files_print(self, _, name):
        try:
            mode = os.lstat(self.path(name)).st_mode
            kind = "socket" if stat.S_ISSOCK(mode) else "file"
        except FileNotFoundError:
            kind = "absent"
        self.trace("files", f"print {name} {kind}")

    def remove_files(self):
        if self.directory:
            self.directory.cleanup()

    # --- Descriptors

    def step_pair(self, name):
        self.add_ends(name, "ab", socket.socketpair())

    def step_datagram_pair(self, name):
        self.add_ends(name, "ab", socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))

    def add_ends(self, name, letters, ends):
        for letter, end in zip(letters, ends):
            end.setblocking(False)
            self.sockets[f"{name}.{letter}"] = end

    def step_pipe(self, name):
        for letter, end, mode in zip("rw", os.pipe(), ("rb", "wb")):
            os.set_blocking(end, False)
            self.sockets[f"{name}.{letter}"] = open(end, mode, 0)

    def step_terminal(self, name):
        """A pseudoterminal that passes bytes on as they are: NAME.m controls it, NAME.t is its line."""
        for letter, end in zip("mt", os.openpty()):
            os.set_blocking(end, False)
            self.sockets[f"{name}.{letter}"] = open(end, "r+b", 0)
        tty.setraw(end)

    def step_dup(self, name, end):
        """Another descriptor of the same open file."""
        self.sockets[name] = open(os.dup(self.sockets[end].fileno()), self.sockets[end].mode, 0)

    def step_fill(self, end):
        """Writes until the kernel takes no more."""
        try:
            while True:
                os.write(self.sockets[end].fileno(), b"f" * 4096)
        except BlockingIOError:
            pass

    def step_listening(self, name):
        """A listening socket that no transport has."""
        sock = self.sockets[name] = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)

    def step_socket(self, name):
        self.sockets[name] = socket.socket()
        self.sockets[name].setblocking(False)

    def step_file(self, name, count, char):
        """A regular file, open for reading."""
        path = pathlib.Path(self.path("file-" + name))
        path.write_text(char * int(count))
        self.sockets[name] = path.open("rb", buffering=0)  # its position is that of the descriptor

    def files_print_position(self, _, name):
        position = os.lseek(self.sockets[name].fileno(), 0, os.SEEK_CUR)
        self.trace("files", f"print_position {name} {position}")

    def files_block(self, _, end):
        os.set_blocking(self.sockets[end].fileno(), True)

    def files_inherit(self, _, end):
        """Programs get it unless somebody closes it first."""
        os.set_inheritable(self.sockets[end].fileno(), True)

    def files_print_blocking(self, _, end):
        blocking = os.get_blocking(self.sockets[end].fileno())
        self.trace("files", f"print_blocking {end} {shown(blocking)}")

    def close_ends(self):
        for end in self.sockets.values():
            end.close()
