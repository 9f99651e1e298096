"""TLS on asyncio: what the words of a step say of it, and start_tls."""

import ssl

TLS_OPTIONS = ("name", "cert", "trust", "handshake_timeout", "shutdown_timeout")


def words_of_tls(words):
    """The options of TLS among the words of a step."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return {key: value for key, value in given.items() if key in TLS_OPTIONS}


class Tls:
    certificates = None  # the directory they are in

    def load(self, context, name):
        context.load_cert_chain(f"{self.certificates}/{name}.pem", f"{self.certificates}/{name}.key")

    def timeouts_of(self, given):
        return {f"ssl_{key}": int(given[key]) / 1000
                for key in ("handshake_timeout", "shutdown_timeout") if key in given}

    def server_tls(self, words):
        """The keywords of a server."""
        given = words_of_tls(words)
        keywords = self.timeouts_of(given)
        if "tls" in words:
            context = keywords["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.load(context, given.get("cert", "server"))
            if "ask" in words:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(f"{self.certificates}/ca.pem")
        return keywords

    def client_tls(self, words, name):
        """The keywords of a client, which expects `name` unless the words say another."""
        given = words_of_tls(words)
        keywords = self.timeouts_of(given)
        if "tls" not in words:
            return keywords | ({"server_hostname": given["name"]} if "name" in given else {})
        name = given.get("name", name)
        if name not in (None, "none"):
            keywords["server_hostname"] = name
        trust = given.get("trust", "ca")
        if trust == "system":
            return keywords | {"ssl": True}
        context = keywords["ssl"] = ssl.create_default_context(
            cafile=f"{self.certificates}/{trust}.pem")
        if "cert" in given:
            self.load(context, given["cert"])
        return keywords

    def connection_start_tls(self, connection, name, *words):
        words = ["tls", *words]
        server_side = connection.name.startswith("server")
        keywords = self.server_tls(words) if server_side else self.client_tls(words, "localhost")

        async def work():
            transport = connection.transport
            connection.transport = await self.loop.start_tls(
                transport, transport.get_protocol(), keywords.pop("ssl"), server_side=server_side,
                **keywords)
            return "done"
        self.operate(connection.name, name, work())
