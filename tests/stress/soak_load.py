"""The soak's load: clients that ask this and that, and the relay between gateway and sandbox."""

import asyncio
import collections
import json
import random
import time

PATIENCE = 30  # seconds for one answer: never needed while things work
now = time.monotonic


class Gone(Exception):
    """The gateway ended the connection instead of answering, or within the answer."""


# -- between gateway and sandbox --------------------------------------------------------------------


class Relay:
    """Relays to the sandbox; `fault` is what happens to it."""

    def __init__(self, to_port, chance):
        self.to_port = to_port
        self.random = chance
        self.port = 0
        self.is_refusing = False
        self.loses = False  # cuts new connections after some bytes
        self.flows = asyncio.Event()
        self.flows.set()
        self.writers = set()
        self.tasks = set()
        self.connections = 0

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def refuse(self, seconds):
        self.server.close()
        self.cut()
        await asyncio.sleep(seconds)
        await self.open()

    async def stall(self, seconds):
        self.flows.clear()
        await asyncio.sleep(seconds)
        self.flows.set()

    async def lose(self, seconds):
        self.loses = True
        self.cut()
        await asyncio.sleep(seconds)
        self.loses = False

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, far_writer}
        try:
            await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer))
        finally:
            self.writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def carry(self, reader, writer):
        left = int(10 ** (self.random.random() * 4)) if self.loses else None
        try:
            while data := await reader.read(65536):
                await self.flows.wait()
                if left is not None and len(data) >= left:
                    writer.write(data[:left])
                    raise ConnectionError
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (ConnectionError, OSError, RuntimeError):
            writer.transport.abort()
            reader.feed_eof()


# -- the load --------------------------------------------------------------------------------------------


class Account:
    """What the clients saw."""

    def __init__(self):
        self.answers = collections.Counter()  # (operation, status)
        self.own = collections.Counter()  # of these, errors that the gateway made
        self.refused = 0  # audited operations without a good credential
        self.cut = self.left = 0
        self.wrong = []
        self.latencies = []

    @property
    def total(self):
        return sum(self.answers.values())


class Caller:
    """A client that asks this and that, on one connection as long as it lives."""

    def __init__(self, soak, number):
        self.soak = soak
        self.random = random.Random(f"{soak.seed} caller {number}")
        self.prefix = f"c{number}"
        self.secrets = []
        self.serial = 0
        self.writer = None

    async def run(self):
        while now() < self.soak.end:
            await self.ask_something()
            await asyncio.sleep(self.random.random() * self.soak.pause)
        self.leave()

    async def ask_something(self):
        draw, team = self.random.random(), f"/v1/teams/{self.soak.team}"
        if draw < 0.25:
            await self.ask("getSession", "GET", "/v1/auth/session")
        elif draw < 0.5:
            await self.ask("listTeamMembers", "GET", f"{team}/users")
        elif draw < 0.6:
            await self.ask("getTeamSecret", "GET", f"{team}/secrets/nothing-{self.random.randrange(9)}")
        elif draw < 0.9:
            await self.change(team)
        elif draw < 0.94:
            await self.ask("refused", "DELETE", f"{team}/secrets/x", token="psgate_" + "x" * 43 + "_000000")
        elif draw < 0.97:
            await self.ask("bad", "GET", "/v1/../x")
        else:
            await self.ask_and_leave()

    async def change(self, team):
        draw = self.random.random()
        if draw < 0.2:
            body = json.dumps({"isAdmin": draw < 0.1})
            await self.ask("updateTeamMember", "PUT", f"{team}/users/{self.soak.member}", body)
        elif draw < 0.6 or not self.secrets:
            self.serial += 1
            name = f"{self.prefix}-{self.serial}"
            self.secrets.append(name)
            await self.ask("createTeamSecret", "POST", f"{team}/secrets", json.dumps({"name": name, "value": "unspeakable"}))
        elif draw < 0.7:
            await self.ask("updateTeamSecret", "PATCH", f"{team}/secrets/{self.secrets[-1]}", json.dumps({"value": "other"}))
        else:
            await self.ask("deleteTeamSecret", "DELETE", f"{team}/secrets/{self.secrets.pop()}")

    async def ask(self, operation, method, target, body="", token=None):
        """Asks and enters what came of it into the account."""
        account, began = self.soak.account, now()
        await self.send(method, target, body, token)
        try:
            status, fields = await self.receive_head()
        except Gone:
            account.wrong.append(f"{method} {target}: the connection ended without an answer")
            return
        account.answers[operation, status] += 1
        account.own[operation, status] += "proxy-status" in fields
        account.refused += operation == "refused"
        try:
            await self.receive_body(fields)
            account.latencies.append(now() - began)
        except Gone:
            account.cut += 1

    async def ask_and_leave(self):
        self.leave()
        await self.send("GET", "/v1/leave", "", None)
        await asyncio.sleep(self.random.choice((0, 0.001)))
        self.leave()
        self.soak.account.left += 1

    async def send(self, method, target, body, token):
        if self.writer is None or self.random.random() < 0.02:
            self.leave()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.soak.gateway.port)
        lines = [f"{method} {target} HTTP/1.1", "Host: gateway.test",
                 f"Authorization: Bearer {token or self.soak.gateway.tokens['tester']}"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    async def receive_head(self):
        head = await self.read(lambda: self.reader.readuntil(b"\r\n\r\n"))
        start, *lines = head.decode("latin-1")[:-4].split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(start.split(" ")[1]), fields

    async def receive_body(self, fields):
        if fields.get("transfer-encoding") == "chunked":
            while size := int(await self.read(lambda: self.reader.readuntil(b"\r\n")), 16):
                await self.read(lambda: self.reader.readexactly(size + 2))
            await self.read(lambda: self.reader.readexactly(2))
        else:
            await self.read(lambda: self.reader.readexactly(int(fields.get("content-length", 0))))
        if fields.get("connection") == "close":
            self.leave()

    async def read(self, start):
        try:
            return await asyncio.wait_for(start(), PATIENCE)
        except (asyncio.IncompleteReadError, ConnectionError) as failure:
            self.leave()
            raise Gone from failure

    def leave(self):
        if self.writer:
            self.writer.transport.abort()
        self.writer = None
