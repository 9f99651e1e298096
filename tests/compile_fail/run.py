#!/usr/bin/env python3
"""Programs that must not compile, and what the compiler must say about them.

CXX names the compiler (default: c++). Exits with an error if one compiles, or says something else.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

PRELUDE = """
#include <weir/weir.h>
#include <array>
#include <memory>
#include <span>
using Bytes = std::span<const std::byte>;
struct Data { void data_received(Bytes) {} };
struct Memory {
  std::span<std::byte> get_buffer(std::ptrdiff_t) { return bytes; }
  void buffer_updated(std::size_t) {}
  std::array<std::byte, 8> bytes{};
};
"""

# Each: a name, the program behind the prelude, and what must be among the errors; nothing if it must
# compile, which shows that it is not the frame that fails.
CASES = [
    ("an object for adapt() [U9]", "auto p = weir::adapt(Data());", None),
    ("a buffered object for adapt() [U9]", "auto p = weir::adapt(Memory());", None),
    (
        "the members of both kinds [U9]",
        "struct Both : Data, Memory {}; auto p = weir::adapt(Both());",
        "weir: a protocol has either data_received(), or get_buffer() and buffer_updated()",
    ),
    (
        "the members of neither kind [U9]",
        "struct Neither {}; auto p = weir::adapt(Neither());",
        "weir: a protocol needs data_received(std::span<const std::byte>), or get_buffer",
    ),
    (
        "get_buffer() without buffer_updated() [U9]",
        "struct Half { std::span<std::byte> get_buffer(std::ptrdiff_t); };"
        "auto p = weir::adapt(Half());",
        "weir: a protocol needs data_received(std::span<const std::byte>), or get_buffer",
    ),
    (
        "connection_made() with a wrong parameter [B15]",
        "struct Wrong : Data { void connection_made(int) {} }; auto p = weir::adapt(Wrong());",
        "weir: connection_made() must take a weir::Transport",
    ),
    (
        "connection_lost() with a wrong parameter [B15]",
        "struct Wrong : Data { void connection_lost(int) {} }; auto p = weir::adapt(Wrong());",
        "weir: connection_lost() must take a const weir::CloseReason&",
    ),
    (
        "both base classes, for an opener [U9]",
        """struct Both : weir::Protocol, weir::BufferedProtocol {
             std::span<std::byte> get_buffer(std::ptrdiff_t) override { return {}; }
             void buffer_updated(std::size_t) override {}
           };
           auto open(weir::EventLoop& loop) {
             return weir::create_connection<Both>(loop, "127.0.0.1", 80);
           }""",
        "weir: a protocol derives from Protocol or from BufferedProtocol, not from both",
    ),
    (
        "a factory of what is no protocol, for a server [V8]",
        """auto serve(weir::EventLoop& loop) {
             return weir::create_server(loop, [] { return 42; }, "127.0.0.1", 0);
           }""",
        "weir: a protocol needs data_received(std::span<const std::byte>), or get_buffer",
    ),
    (
        "a factory of objects, for an opener [N4]",
        """auto open(weir::EventLoop& loop) {
             return weir::create_connection(loop, [] { return Data(); }, "127.0.0.1", 80);
           }""",
        None,
    ),
    (
        "an object of datagrams, for adapt() and for an opener [D18]",
        """struct Datagrams { void datagram_received(Bytes, const weir::Address&) {} };
           std::shared_ptr<weir::DatagramProtocol> p = weir::adapt(Datagrams());
           auto open(weir::EventLoop& loop) {
             return weir::create_datagram_endpoint<Datagrams>(loop, {});
           }""",
        None,
    ),
    (
        "a stream's object, for a datagram socket [D18]",
        """auto open(weir::EventLoop& loop) {
             return weir::create_datagram_endpoint(loop, [] { return Data(); }, {});
           }""",
        "weir: a datagram protocol needs datagram_received(std::span<const std::byte>, const weir::",
    ),
    (
        "the members of a stream's protocol and of a datagram protocol [U9]",
        """struct Both : Data { void datagram_received(Bytes, const weir::Address&) {} };
           auto p = weir::adapt(Both());""",
        "weir: this object has the members of a stream protocol and of a datagram protocol",
    ),
    (
        "error_received() with a wrong parameter [B15]",
        """struct Wrong {
             void datagram_received(Bytes, const weir::Address&) {}
             void error_received(const std::string&) {}
           };
           auto p = weir::adapt(Wrong());""",
        "weir: error_received() must take a std::error_code",
    ),
    (
        "connection_made() of a datagram protocol with a wrong parameter [B15]",
        """struct Wrong {
             void datagram_received(Bytes, const weir::Address&) {}
             void connection_made(weir::Transport) {}
           };
           auto p = weir::adapt(Wrong());""",
        "weir: connection_made() must take a weir::Transport, or for a datagram or subprocess",
    ),
    (
        "a copy of a callback",
        "weir::Callback a = [] {}; weir::Callback b = a;",
        "deleted",
    ),
]


def compile_errors(compiler, program, directory):
    """What the compiler says about `program`; nothing if it compiles."""
    source = pathlib.Path(directory) / "program.cpp"
    source.write_text(PRELUDE + program + "\n")
    command = [*compiler, "-std=c++20", "-fsyntax-only", f"-I{ROOT / 'include'}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr if done.returncode != 0 else None


def main():
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        for name, program, expected in CASES:
            errors = compile_errors(compiler, program, directory)
            if expected is None:
                good = errors is None
            else:
                good = errors is not None and expected in errors
            print("ok    " if good else "FAILED", name)
            if not good:
                failures += 1
                print(errors if errors is not None else "  it compiles")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
