#!/usr/bin/env python3
"""Many clients read and change members through two workers; every read is checked.

The origin, the clients and the history live in one event loop, so all of them share one
order of time. The origin keeps a register a team: each change that lands makes its version
one higher, and a read returns the version. What a read may return:

* not less than the version of any change that was answered before the read began;
* after an end that the gateway does not know (it said 502 or 504), once its hold is over,
  not less than any version that landed before the end of the hold.
"""

import argparse
import asyncio
import bisect
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from support.gateway import Gateway  # noqa: E402

HOLD, RESPONSE_TIMEOUT, TICK = 0.3, 0.2, 0.005
PATIENCE = 30  # seconds for one answer: never needed while things work
TEAMS = {"t1": "team-one", "t2": "team-two", "t3": "team-three"}
READS = ["/v1/teams/%s/users", "/v1/teams/%s/users?role=admin", "/v1/teams/%s/users?role=admin&page=2", "/v1/teams/%s/profiles"]
OPERATIONS = [
    {"id": "members", "method": "GET", "path": "/v1/teams/{team}/users", "team": "team",
     "cache": {"scope": "members", "ttl": "300ms", "stale_while_revalidate": "1h", "stale_if_error": "1h"}},
    {"id": "profiles", "method": "GET", "path": "/v1/teams/{team}/profiles", "team": "team",
     "cache": {"scope": "members", "freshness": "upstream"}},
    {"id": "changeMember", "method": "PUT", "path": "/v1/teams/{team}/users/{user}", "team": "team", "invalidates": ["members"]},
]
CONFIG = {"upstream": {"response_timeout": f"{RESPONSE_TIMEOUT * 1000:.0f}ms"}, "log": {"level": "warn", "access": False},
          "cache": {"unknown_hold": f"{HOLD * 1000:.0f}ms", "stale_after": "50ms"}}
now = time.monotonic


class Gone(Exception):
    """The gateway ended the connection instead of answering."""


class History:
    """What happened to one team's register, and the least that a read may return."""

    def __init__(self):
        self.landed = []  # when each version landed; version n is at n - 1
        self.answered = []  # (when, the highest version answered until then)
        self.unknown = []  # (when its hold is surely over, until when what landed counts)
        self.events = []

    @property
    def version(self):
        return len(self.landed)

    def land(self, when):
        self.landed.append(when)
        self.events.append((when, f"version {self.version} landed"))
        return self.version

    def answer(self, when, version):
        highest = max(version, self.answered[-1][1] if self.answered else 0)
        self.answered.append((when, highest))
        self.events.append((when, f"the change to version {version} was answered"))

    def lose(self, when, earliest_end):
        """The gateway said at `when` that it lost a change, at earliest_end or later."""
        self.unknown.append((when + HOLD + TICK, earliest_end + HOLD - TICK))
        self.events.append((when, f"a change was lost, not before {earliest_end:.4f}; hold of {HOLD} s"))

    def least(self, began):
        """The oldest version that a read which began then may return."""
        at = bisect.bisect_left(self.answered, (began, -1))
        least = self.answered[at - 1][1] if at else 0
        for is_over, counts_until in self.unknown:
            if is_over < began:
                least = max(least, bisect.bisect_left(self.landed, counts_until))
        return least

    def around(self, began, ended):
        return [f"    {when:.4f} {what}" for when, what in sorted(self.events) if began - 3 < when < ended + 0.1]


class Change:
    """One change as both of its ends see it."""

    def __init__(self, team):
        self.team = team
        self.sent = now()
        self.version = None  # once it has landed
        self.cut = None  # when the origin cut the connection
        self.arrived = False


class Origin:
    """Answers reads with the team's version, and lands changes, both after random delays."""

    def __init__(self, seed, is_failing):
        self.random = random.Random(seed)
        self.is_failing = is_failing
        self.teams = {name: History() for name in TEAMS}
        self.changes = {}
        self.fetches = self.not_modified = 0
        self.background = set()
        self.errors = []

    async def serve(self, reader, writer):
        try:
            while await self.serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as failure:
            self.errors.append(repr(failure))
        finally:
            writer.close()

    async def serve_one(self, reader, writer):
        start, fields = parse_head(await reader.readuntil(b"\r\n\r\n"))
        method, target, _ = start.split(" ")
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        spelling = target.split("/")[3]
        team = next(name for name, other in TEAMS.items() if spelling in (name, other))
        if method == "PUT":
            return await self.change(team, self.changes[json.loads(body)["change"]], writer)
        return await self.read(team, target, fields, writer)

    async def pause(self):
        """Mostly short, at times long enough to be overtaken."""
        await asyncio.sleep(self.random.choice((0, 0, 0.002, 0.01, 0.03)) * self.random.random())

    def draw_failure(self, rate):
        draw = self.random.random() if self.is_failing else 1
        return self.random.choice(("500", "cut", "hang")) if draw < rate else None

    async def read(self, team, target, fields, writer):
        self.fetches += 1
        failure = self.draw_failure(0.04)
        await self.pause()
        version = self.teams[team].version
        await self.pause()
        if failure == "cut":
            writer.transport.abort()
            return False
        if failure == "hang":
            await asyncio.sleep(RESPONSE_TIMEOUT * 1.5)
        if failure == "500":
            return self.send(writer, "500 Internal Server Error", {}, "{}")
        body = json.dumps({"team": team, "version": version})
        if not target.endswith("/profiles"):
            return self.send(writer, "200 OK", {}, body)
        own = {"ETag": f'"{team}-{version}"', "Cache-Control": self.random.choice(
            ("max-age=3600", "max-age=0, stale-while-revalidate=3600", "max-age=0, stale-if-error=3600", "no-cache"))}
        if own["ETag"] in fields.get("if-none-match", ""):
            self.not_modified += 1
            return self.send(writer, "304 Not Modified", own, None)
        return self.send(writer, "200 OK", own, body)

    async def change(self, team, change, writer):
        change.arrived = True
        failure = self.draw_failure(0.2)
        if failure in ("cut", "hang"):
            until = HOLD * self.random.random() + (RESPONSE_TIMEOUT if failure == "hang" else 0)
            self.go(self.land_late(team, change, until * 0.9))
        else:
            await self.pause()
            change.version = self.teams[team].land(now())
            await self.pause()
        if failure == "cut":
            await self.pause()
            change.cut = now()
            writer.transport.abort()
            return False
        if failure == "hang":
            await asyncio.sleep(RESPONSE_TIMEOUT + HOLD)
        return self.send(writer, "500 Internal Server Error" if failure else "200 OK", {}, "{}")

    async def land_late(self, team, change, delay):
        if self.random.random() < 0.8:
            await asyncio.sleep(delay)
            change.version = self.teams[team].land(now())

    def go(self, work):
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    def send(self, writer, status, fields, body):
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", body or ""]).encode())
        return True


def parse_head(head):
    start, *lines = head.decode("latin-1")[:-4].split("\r\n")
    return start, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


class Caller:
    """A client's connection, made anew when it has ended and at times without need."""

    def __init__(self, gateway, choice):
        self.gateway = gateway
        self.random = choice
        self.writer = None

    async def send(self, method, target, *lines, body=""):
        if self.writer is None or self.random.random() < 0.02:
            self.leave()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        own = [f"{method} {target} HTTP/1.1", "Host: gateway.test", f"Authorization: Bearer {self.gateway.tokens['tester']}", *lines]
        if body:
            own.append(f"Content-Length: {len(body)}")
        self.writer.write(("\r\n".join(own) + "\r\n\r\n" + body).encode())

    async def receive(self):
        try:
            start, fields = parse_head(await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE))
            body = await asyncio.wait_for(self.reader.readexactly(int(fields.get("content-length", 0))), PATIENCE)
        except (asyncio.IncompleteReadError, ConnectionError) as failure:
            self.leave()
            raise Gone from failure
        if fields.get("connection") == "close":
            self.leave()
        return int(start.split(" ")[1]), fields, body

    def leave(self):
        if self.writer:
            self.writer.transport.abort()
        self.writer = None


class Run:
    """All clients of one run, and what they found."""

    def __init__(self, gateway, origin, seed, seconds):
        self.gateway = gateway
        self.origin = origin
        self.seed = seed
        self.end = now() + seconds
        self.reads = self.hits = self.collapsed = self.changes = self.lost = self.errors = 0
        self.violations = []

    async def readers_and_writers(self, readers=16, writers=3):
        await asyncio.gather(*(self.keep_reading(random.Random(f"{self.seed} reader {number}")) for number in range(readers)),
                             *(self.keep_changing(random.Random(f"{self.seed} writer {number}")) for number in range(writers)))
        while self.origin.background:
            await asyncio.gather(*self.origin.background)

    def draw_team(self, choice):
        team = choice.choice(list(TEAMS))
        return team, choice.choice((team, TEAMS[team]))

    async def keep_reading(self, choice):
        caller = Caller(self.gateway, choice)
        while now() < self.end:
            team, spelling = self.draw_team(choice)
            target = choice.choice(READS) % spelling
            lines = ["Cache-Control: " + choice.choice(("no-cache", "max-age=0", "max-stale", "no-store"))] * (choice.random() < 0.05)
            began = now()
            await caller.send("GET", target, *lines)
            if choice.random() < 0.02:
                await asyncio.sleep(choice.random() * 0.005)
                caller.leave()
                continue
            try:
                self.judge(team, target, began, *await caller.receive())
            except Gone:
                self.errors += 1
            await asyncio.sleep(choice.random() * 0.01)
        caller.leave()

    def judge(self, team, target, began, status, fields, body):
        ended, history = now(), self.origin.teams[team]
        if status != 200:
            self.errors += 1
            return
        said = json.loads(body)
        self.reads += 1
        self.hits += fields["cache-status"].startswith("psgate; hit")
        self.collapsed += "collapsed" in fields["cache-status"]
        least = history.least(began)
        if said["team"] != team or not least <= said["version"] <= history.version:
            self.violations.append(
                f"violation: GET {target} began {began:.4f}, ended {ended:.4f}, got {said} ({fields['cache-status']}), "
                f"may be version {least} to {history.version} of {team}\n" + "\n".join(history.around(began, ended)))

    async def keep_changing(self, choice):
        caller = Caller(self.gateway, choice)
        serial = 0
        while now() < self.end:
            # bursts, and pauses long enough for something to be stored again
            await asyncio.sleep(choice.choice((0, 0.02, 0.3, 1.5)) * choice.random())
            team, spelling = self.draw_team(choice)
            serial += 1
            name = f"{id(choice)}-{serial}"
            self.origin.changes[name] = change = Change(team)
            await caller.send("PUT", f"/v1/teams/{spelling}/users/u{choice.randrange(9)}", body=json.dumps({"change": name}))
            if choice.random() < 0.03:
                await asyncio.sleep(choice.random() * 0.02)
                caller.leave()
                continue
            try:
                self.note_end(change, *await caller.receive())
            except Gone:
                self.errors += 1
        caller.leave()

    def note_end(self, change, status, fields, _):
        history = self.origin.teams[change.team]
        self.changes += 1
        if "proxy-status" not in fields:
            history.answer(now(), change.version)
            return
        assert status in (502, 503, 504), status
        self.lost += 1
        if change.arrived:
            earliest = change.cut or (change.sent + RESPONSE_TIMEOUT if status == 504 else change.sent)
            history.lose(now(), earliest)


async def run(options, folder):
    origin = Origin(f"{options.seed} origin", options.mode == "failing")
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    gateway = Gateway(options.binary, folder, f"http://127.0.0.1:{port}", CONFIG, OPERATIONS)
    gateway.add_client("tester")
    gateway.start()
    work = Run(gateway, origin, options.seed, options.seconds)
    try:
        await work.readers_and_writers()
    finally:
        gateway.stop()
        server.close()
    return work, origin


def report(options, work, origin):
    for violation in work.violations[:5]:
        print(violation)
    share = 100 * work.hits / max(work.reads, 1)
    print(f"{options.mode}: {work.reads} reads, {work.hits} hits ({share:.0f} %), {work.collapsed} collapsed, {work.errors} failed, "
          f"{origin.fetches} fetches, {origin.not_modified} not modified, {work.changes} changes, {work.lost} with an unknown end, "
          f"{len(work.violations)} violations")
    for failure in origin.errors:
        print(f"the origin failed: {failure}")
    return 1 if work.violations or origin.errors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.environ.get("PSGATE_BINARY", ROOT / "build" / "dev" / "psgate"))
    parser.add_argument("--mode", choices=("plain", "failing"), default="plain")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--long", dest="seconds", action="store_const", const=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    options.binary = Path(options.binary).resolve()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work, origin = asyncio.run(run(options, Path(folder)))
    return report(options, work, origin)


if __name__ == "__main__":
    sys.exit(main())
