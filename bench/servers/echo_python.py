"""asyncio's echo server, a Protocol; CPython's own loop, or with --uvloop that of uvloop. With
--discard it does not answer."""

import argparse
import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Discard(asyncio.Protocol):
    pass


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=0)
    where.add_argument("--unix")
    parser.add_argument("--discard", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    return parser.parse_args()


async def serve(arguments):
    loop = asyncio.get_running_loop()
    protocol = Discard if arguments.discard else Echo
    backlog = 4096  # the others' SOMAXCONN
    if arguments.unix:
        server = await loop.create_unix_server(protocol, arguments.unix, backlog=backlog)
        where = arguments.unix
    else:
        server = await loop.create_server(protocol, "127.0.0.1", arguments.port, backlog=backlog)
        where = server.sockets[0].getsockname()[1]
    print("listening", where, flush=True)
    await server.serve_forever()


def main():
    arguments = parse_arguments()
    if arguments.uvloop:
        try:
            import uvloop
        except ImportError:
            sys.exit("uvloop is not installed")
        uvloop.install()
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
