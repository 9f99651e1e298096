#!/usr/bin/env python3
"""What the tool says when it cannot do what it was told: one line, and the exit code of --help."""

import re
import socket
import unittest

from programs import ProgramTest

PORT = "write tcp://[::1]:PORT"
RANGE = "a port is a number from 1 to 65535"
ECHO = "write tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT, unix:/PATH, unix-abstract:NAME or stdio:"
CONNECT = "write tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH, unix-abstract:NAME or exec:COMMAND"
LISTEN = "write tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH, unix-abstract:NAME or stdio:"
TARGET = "write tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH, unix-abstract:NAME, exec:COMMAND or stdio:"
NO_STREAM = "datagrams are no stream, only echo and bench speak udp"
CHAOS = "write tcp://HOST:PORT, unix:/PATH or unix-abstract:NAME"
NO_NETWORK = "there is no network to have faults, put weir relay there"
OF_CLIENTS = "ca=FILE, cert=FILE, key=FILE, insecure, alpn=NAME,NAME and name=HOST"
OF_SERVERS = "ca=FILE, cert=FILE, key=FILE and alpn=NAME,NAME"
TOO_LONG = "that of a socket has 107 at most, take a shorter one"

# Arguments, and the whole message after "weir: ". The exit code is 2.
WRONG = [
    ("echo", "URL is required; see weir echo --help"),
    ("echo foo", f"no scheme in 'foo'; {ECHO}"),
    ("echo http://h:1", f"unknown scheme 'http' in 'http://h:1'; {ECHO}"),
    ("echo exec:cat", f"scheme 'exec' in 'exec:cat'; a command cannot be listened on: {ECHO}"),
    ("connect udp://h:1", f"scheme 'udp' in 'udp://h:1'; {NO_STREAM}: {CONNECT}"),
    ("connect stdio:", "scheme 'stdio' in 'stdio:'; standard input and output are the other end "
                       f"already: {CONNECT}"),
    ("bench stdio:", "scheme 'stdio' in 'stdio:'; the report goes there: write tcp://HOST:PORT, "
                     "tls://HOST:PORT, udp://HOST:PORT, unix:/PATH, unix-abstract:NAME or exec:COMMAND"),
    ("relay", "LISTEN is required; see weir relay --help"),
    ("relay tcp://h:0", "TARGET is required; see weir relay --help"),
    ("relay exec:cat tcp://h:1",
     f"scheme 'exec' in 'exec:cat'; a command cannot be listened on: {LISTEN}"),
    ("relay udp://h:1 tcp://h:1", f"scheme 'udp' in 'udp://h:1'; {NO_STREAM}: {LISTEN}"),
    ("relay tcp://h:0 udp://h:1", f"scheme 'udp' in 'udp://h:1'; {NO_STREAM}: {TARGET}"),
    ("relay tcp://h:0 tcp://h:0", "port 0 in 'tcp://h:0'; only a server can take a free port; name "
                                  "the one to connect to"),
    ("relay stdio: stdio:",
     "stdio: twice; standard input and output are one end, give another one too"),
    ("relay tcp://h:0 exec:cat --max-connections 0",
     "--max-connections: '0' is not a number from 1 to 1000000; see weir relay --help"),
    ("relay tcp://h:0 exec:cat --status maybe",
     "--status: maybe not in {always,auto,never}; see weir relay --help"),
    ("relay --backend simulated tcp://h:0 exec:cat",
     "no simulated network for 'relay': nothing outside this process can reach it; use --backend "
     "epoll, or try weir bench or weir demo on it"),
    ("chaos tcp://h:0", "TARGET is required; see weir chaos --help"),
    ("chaos exec:cat tcp://h:1",
     f"scheme 'exec' in 'exec:cat'; a command cannot be listened on: {CHAOS}"),
    ("chaos stdio: tcp://h:1", f"scheme 'stdio' in 'stdio:'; {NO_NETWORK}: {CHAOS}"),
    ("chaos tcp://h:0 exec:cat", f"scheme 'exec' in 'exec:cat'; {NO_NETWORK}: {CHAOS}"),
    ("chaos tls://h:0 tcp://h:1", "scheme 'tls' in 'tls://h:0'; faults are of what is under TLS, which "
                                  f"passes through tcp: {CHAOS}"),
    ("chaos tcp://h:0 udp://h:1", f"scheme 'udp' in 'udp://h:1'; {NO_STREAM}: {CHAOS}"),
    ("chaos tcp://h:0 tcp://h:1 --latency 50",
     "--latency: '50' is not a time of a day at most; write 50ms, 1.5s or 2min; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --rate fast",
     "--rate: 'fast' is not a size; write 1024, 64KiB or 1MiB; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --stall -1",
     "--stall: '-1' is not a number from 0 to 1024; write 0.01; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --forward lag=5ms",
     "--forward: unknown fault 'lag'; there are latency, jitter, rate, segments, stall, stall-for, reset "
     "and reset-at; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --back latency",
     "--back: no value of 'latency'; write latency=TIME; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --do sleep",
     "--do: unknown fault 'sleep'; there are latency, jitter, rate, segments, stall, stall-for, reset, "
     "reset-at and partition; see weir chaos --help"),
    ("chaos tcp://h:0 tcp://h:1 --seed -1",
     "--seed: '-1' is not a whole number of 19 digits at most; see weir chaos --help"),
    ("chaos --backend simulated tcp://h:0 tcp://h:1",
     "no simulated network for 'chaos': nothing outside this process can reach it; use --backend "
     "epoll, or try weir bench or weir demo on it"),
    ("echo tcp:h:1", "no '//' after tcp: in 'tcp:h:1'; write tcp://HOST:PORT"),
    ("echo udp:h:1", "no '//' after udp: in 'udp:h:1'; write udp://HOST:PORT"),
    ("echo udp://h", "no port in 'udp://h'; add one: udp://h:8888"),
    ("echo udp://::1:80",
     "IPv6 address without brackets in 'udp://::1:80'; write udp://[::1]:PORT"),
    ("bench udp://h:0", "port 0 in 'udp://h:0'; only a server can take a free port; name the one to "
                        "connect to"),
    ("bench udp://h:1 --size 7",
     "a datagram of 7 bytes; give --size a number from 8 to 65507"),
    ("bench udp://h:1 --size 64KiB",
     "a datagram of 65536 bytes; give --size a number from 8 to 65507"),
    ("bench exec:cat --backend simulated",
     "no simulated network for 'bench exec:': nothing outside this process can reach it; use "
     "--backend epoll, or try weir bench or weir demo on it"),
    ("connect unix:", "no path in 'unix:'; add one: unix:/run/user/weir.sock"),
    (f"connect unix:/{'x' * 107}", f"a path of 108 bytes in 'unix:/{'x' * 107}'; {TOO_LONG}"),
    ("connect unix-abstract:", "no name in 'unix-abstract:'; add one: unix-abstract:weir"),
    (f"connect unix-abstract:{'x' * 108}",
     f"a name of 108 bytes in 'unix-abstract:{'x' * 108}'; {TOO_LONG}"),
    ("connect exec:", "no command in 'exec:'; add one: exec:sort, or 'exec:sort -u'"),
    ("echo stdio:x", "'x' after stdio: in 'stdio:x'; leave it out"),
    ("echo tcp://h", "no port in 'tcp://h'; add one: tcp://h:8888"),
    ("echo tcp://h:", "no port in 'tcp://h:'; add one after the ':', such as 8888"),
    ("echo tcp://h:65536", f"bad port '65536' in 'tcp://h:65536'; {RANGE}, or 0 for a free one"),
    ("echo tcp://h:-1", f"bad port '-1' in 'tcp://h:-1'; {RANGE}, or 0 for a free one"),
    ("connect tcp://h:http", f"bad port 'http' in 'tcp://h:http'; {RANGE}"),
    ("connect tcp://h:0", "port 0 in 'tcp://h:0'; only a server can take a free port; name the one "
                          "to connect to"),
    ("bench tcp://h:0", "port 0 in 'tcp://h:0'; only a server can take a free port; name the one to "
                        "connect to"),
    ("connect tcp://:1", "no host in 'tcp://:1'; write tcp://127.0.0.1:PORT or tcp://[::1]:PORT"),
    ("connect tcp://a,b:1", "bad host 'a,b' in 'tcp://a,b:1'; write a name or an address"),
    ("connect tcp://::1:80", f"IPv6 address without brackets in 'tcp://::1:80'; {PORT}"),
    ("connect tcp://[::1", f"no closing ] in 'tcp://[::1'; {PORT}"),
    ("connect tcp://[::1]80", f"no ':' after ] in 'tcp://[::1]80'; {PORT}"),
    ("connect tcp://[::1]", "no port in 'tcp://[::1]'; add one: tcp://[::1]:8888"),
    ("connect tcp://[h]:80", f"bad IPv6 address 'h' in 'tcp://[h]:80'; {PORT}"),
    ("connect tcp://h:80/x", "'/x' after the port in 'tcp://h:80/x'; leave it out"),
    ("connect tcp://h:80?ca=x", "'?ca=x' after the port in 'tcp://h:80?ca=x'; leave it out"),
    ("connect tls://h", "no port in 'tls://h'; add one: tls://h:8888"),
    ("connect tls://h:0", "port 0 in 'tls://h:0'; only a server can take a free port; name the one to "
                          "connect to"),
    ("connect tls://h:1/?ca=x", "'/' after the port in 'tls://h:1/?ca=x'; leave it out"),
    ("connect tls://h:1?", f"unknown key '' in 'tls://h:1?'; there are {OF_CLIENTS}"),
    ("connect tls://h:1?CA=x", f"unknown key 'CA' in 'tls://h:1?CA=x'; there are {OF_CLIENTS}"),
    ("relay tls://h:1?foo tcp://h:1",
     f"unknown key 'foo' in 'tls://h:1?foo'; there are {OF_SERVERS}"),
    ("echo tls://h:1?insecure",
     f"'insecure' in 'tls://h:1?insecure'; it is for clients, there are {OF_SERVERS}"),
    ("echo tls://h:1?name=x",
     f"'name' in 'tls://h:1?name=x'; it is for clients, there are {OF_SERVERS}"),
    ("bench tls://h:1?ca", "'ca' in 'tls://h:1?ca'; write ca=FILE"),
    ("bench tls://h:1?ca=", "'ca=' in 'tls://h:1?ca='; write ca=FILE"),
    ("connect tls://h:1?insecure=yes",
     "'insecure=yes' in 'tls://h:1?insecure=yes'; write insecure"),
    ("connect tls://h:1?ca=x&ca=y", "'ca' twice in 'tls://h:1?ca=x&ca=y'; leave one out"),
    ("connect tls://h:1?insecure&insecure",
     "'insecure' twice in 'tls://h:1?insecure&insecure'; leave one out"),
    ("connect tls://h:1?key=x",
     "key without cert in 'tls://h:1?key=x'; add cert=FILE, its certificate"),
    ("connect tls://h:1?ca=x&insecure",
     "both ca and insecure in 'tls://h:1?ca=x&insecure'; leave one of them out"),
    ("connect --linger 0 tls://h:1",
     "--linger: '0' is not a number from 0.001 to 86400; see weir connect --help"),
    ("echo --backend simulated tcp://h:0",
     "no simulated network for 'echo': nothing outside this process can reach it; use --backend "
     "epoll, or try weir bench or weir demo on it"),
    ("connect --backend simulated tcp://h:1",
     "no simulated network for 'connect': nothing outside this process can reach it; use --backend "
     "epoll, or try weir bench or weir demo on it"),
    ("echo --backend x tcp://h:0",
     "--backend: x not in {auto,epoll,simulated,uring}; see weir echo --help"),
    ("echo --grace x tcp://h:0",
     "--grace: 'x' is not a number from 0 to 86400; see weir echo --help"),
    ("bench tcp://h:1 --connections 0",
     "--connections: '0' is not a number from 1 to 1000000; see weir bench --help"),
    ("bench tcp://h:1 --size x",
     "--size: 'x' is not a size; write 1024, 64KiB or 1MiB; see weir bench --help"),
    ("bench tcp://h:1 --size 1GiB",
     "--size: '1073741824' is not a number from 1 to 16777216; see weir bench --help"),
    ("bench tcp://h:1 --pipeline 0",
     "--pipeline: '0' is not a number from 1 to 65536; see weir bench --help"),
    ("bench tcp://h:1 --duration 0",
     "--duration: '0' is not a number from 0.001 to 86400; see weir bench --help"),
    ("connect tcp://h:1 more", "The following argument was not expected: more; see weir connect "
                               "--help"),
    ("trace", "nobody to connect to; give a URL, or --listen URL to serve one here"),
    ("trace udp://h:1", f"scheme 'udp' in 'udp://h:1'; {NO_STREAM}: {CONNECT}"),
    ("trace --listen stdio:", "scheme 'stdio' in 'stdio:'; the picture goes there: write "
                              "tcp://HOST:PORT, tls://HOST:PORT, unix:/PATH or unix-abstract:NAME"),
    ("trace --format png tcp://h:1",
     "--format: png not in {mermaid,perfetto,svg,text}; see weir trace --help"),
    ("trace --for 0 tcp://h:1",
     "--for: '0' is not a number from 0.001 to 86400; see weir trace --help"),
    ("trace --backend simulated tcp://h:1",
     "no simulated network for 'trace without --listen': nothing outside this process can reach it; "
     "use --backend epoll, or try weir bench or weir demo on it"),
    ("trace --backend simulated --listen tcp://h:0 exec:cat",
     "no simulated network for 'trace exec:': nothing outside this process can reach it; use "
     "--backend epoll, or try weir bench or weir demo on it"),
    ("demo --fast", "The following argument was not expected: --fast; see weir demo --help"),
    ("serve", "unknown subcommand 'serve'; there are echo, connect, relay, chaos, bench, trace and "
              "demo"),
    ("", "A subcommand is required; see weir --help"),
]


class CommandLine(ProgramTest):
    def test_what_is_wrong(self):
        for arguments, message in WRONG:
            with self.subTest(arguments):
                self.assertEqual(self.run_tool(*arguments.split()), (2, "", f"weir: {message}\n"))

    def test_to_listen_takes_a_certificate(self):
        code, out, err = self.run_tool("relay", "tls://h:0", "tcp://h:1")
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, "^weir: no cert in 'tls://h:0'; add \\?cert=FILE, one for tests is made "
                              "by: openssl req .*\n$")

    def test_version(self):
        code, out, err = self.run_tool("--version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^weir \d+\.\d+\.\d+\n$")

    def test_help(self):
        code, out, err = self.run_tool("--help")
        self.assertEqual((code, err), (0, ""))
        for word in ("echo", "connect", "relay", "chaos", "bench", "trace", "demo", "tls://", "udp://",
                     "unix:", "unix-abstract:", "exec:", "stdio:", "Examples:", "Exit codes:"):
            self.assertIn(word, out)
        for command in "echo", "connect", "relay", "chaos", "bench":
            code, out, _ = self.run_tool(command, "--help")
            self.assertEqual(code, 0)
            self.assertIn(f"Example:\n  ", out)
            self.assertRegex(out, f"weir {command} tcp://")
            self.assertIn("--backend KIND", out)


class World(ProgramTest):
    """Correct commands that fail: exit code 1."""

    def check(self, message, *arguments):
        code, _, err = self.run_tool(*arguments)
        self.assertEqual(code, 1)
        self.assertRegex(err, f"^weir: {message}\n$")

    def free_port(self):
        """A port that nobody listens on, and that nobody is given while the test lasts."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]

    def test_connection_refused(self):
        url = f"tcp://127.0.0.1:{self.free_port()}"
        for command in "connect", "bench", "trace":
            with self.subTest(command):
                self.check(f"cannot connect to {url}: Connection refused; start a server there "
                           "first, e.g. weir echo", command, url)

    def test_port_in_use(self):
        _, [url] = self.serve_echo()
        self.check(f"cannot listen on {url}: Address already in use; stop what listens there, or "
                   "take a free port with :0", "echo", "tcp://127.0.0.1:0", url)

    def test_unix_sockets(self):
        directory = self.temporary_directory()
        nowhere = f"unix:{directory / 'nowhere'}"
        for command in "connect", "bench":
            with self.subTest(command):
                self.check(f"cannot connect to {nowhere}: No such file or directory; start a server "
                           "there first", command, nowhere)
        abstract = "unix-abstract:weir-test-nobody-listens"
        self.check(f"cannot connect to {abstract}: Connection refused; start a server there first, "
                   "e.g. weir echo", "connect", abstract)
        _, [url] = self.serve_echo(urls=[f"unix:{directory / 'taken'}"])
        self.check(f"cannot listen on {url}: Address already in use; stop what listens there, or "
                   "take another path", "echo", url)
        (directory / "file").write_text("not a socket")
        file = f"unix:{directory / 'file'}"
        self.check(f"cannot listen on {file}: Address already in use; stop what listens there, or "
                   "take another path", "echo", file)
        self.assertEqual((directory / "file").read_text(), "not a socket")
        missing = f"unix:{directory}/no/where"
        self.check(f"cannot listen on {missing}: No such file or directory; make its directory "
                   "first", "echo", missing)

    def test_udp_where_nobody_is(self):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{taken.getsockname()[1]}"
        self.check(f"cannot listen on {url}: Address already in use; stop what listens there, or "
                   "take a free port with :0", "echo", url)
        taken.close()
        self.check(f"cannot connect to {url}: Connection refused; start a server there first, e.g. "
                   "weir echo", "bench", url)

    def test_unknown_host(self):
        for command in "connect", "echo", "bench":
            with self.subTest(command):
                self.check("cannot find host 'nowhere.invalid': .+; check the spelling, or write "
                           "its address", command, "tcp://nowhere.invalid:1234")

    def test_address_of_another_machine(self):
        self.check(r"cannot listen on tcp://192\.0\.2\.1:0: Cannot assign requested address; that "
                   r"address is not this machine's; try 127\.0\.0\.1, \[::1\] or 0\.0\.0\.0",
                   "echo", "tcp://192.0.2.1:0")

    def test_figures_that_cannot_be_written(self):
        path = self.temporary_directory() / "missing" / "figures.json"
        self.check(f"cannot write '{re.escape(str(path))}': No such file or directory; give --json "
                   "a path in a directory of yours",
                   "bench", "tcp://127.0.0.1:1", "--json", str(path))

    def test_a_system_without_io_uring(self):
        code, out, err = self.run_tool("echo", "--backend", "uring", "tcp://127.0.0.1:0",
                                       env={"WEIR_URING_WITHOUT": "everything"})
        self.assertEqual((code, out), (1, ""))
        self.assertRegex(err, "^weir: there is no io_uring here: .+: Function not implemented\n$")


if __name__ == "__main__":
    unittest.main()
