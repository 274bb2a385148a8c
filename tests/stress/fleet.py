#!/usr/bin/env python3
"""Many clients read and change members through three gateways, whose Redis fares badly.

As in stress.py, but Redis is killed, paused, emptied and rolled back meanwhile, and one of
the gateways reaches it through a relay that cuts, delays and holds what passes. What a read
through a gateway may return:

* not less than the version of any change that the same gateway answered before it began;
* not less than any that another had answered max_staleness before.

At the end each change that was answered 2xx has its two records in its gateway's trail, the
trails are intact, and the fleet is together again by itself.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import sys
import tempfile
from pathlib import Path

from stress import READS, ROOT, TEAMS, TICK, Caller, Change, Gone, History, Origin, now

from support.gateway import Gateway
from support.redis import Redis
from support.redis_relay import RedisRelay

GATEWAYS, STALENESS, REJOIN = 3, 0.4, 20
OPERATIONS = [
    {"id": "members", "method": "GET", "path": "/v1/teams/{team}/users", "team": "team", "cache": {"scope": "members", "ttl": "1h"}},
    {"id": "profiles", "method": "GET", "path": "/v1/teams/{team}/profiles", "team": "team",
     "cache": {"scope": "members", "freshness": "upstream"}},
    {"id": "changeMember", "method": "PUT", "path": "/v1/teams/{team}/users/{user}", "team": "team", "invalidates": ["members"],
     "user": "user", "audit": {}},
]
CONFIG = {"upstream": {"response_timeout": "5s"}, "log": {"level": "warn", "access": False}, "cache": {"unknown_hold": "300ms"}}


class FleetHistory(History):
    """One team's register, and which gateway answered what."""

    def __init__(self):
        super().__init__()
        self.own = [History() for _ in range(GATEWAYS)]

    def answer_by(self, gateway, when, version):
        self.own[gateway].answer(when, version)
        self.answer(when, version)

    def least_through(self, gateway, began):
        """The oldest version that a read through the gateway which began then may return."""
        return max(self.own[gateway].least(began), self.least(began - STALENESS - TICK))


class SlowOrigin(Origin):
    """Lands some changes, and answers them, after what may befall a Redis server in between."""

    def __init__(self, seed):
        super().__init__(seed, False)
        self.teams = {name: FleetHistory() for name in TEAMS}

    async def pause(self):
        if self.random.random() < 0.02:
            await asyncio.sleep(self.random.random() * 3 * STALENESS)
        await super().pause()


class Chaos:
    """What happens to Redis and the way to it, one thing after the other, now and then two."""

    def __init__(self, redis, relay, choice):
        self.redis = redis
        self.relay = relay
        self.random = choice
        self.done = collections.Counter()

    async def go_on(self, end):
        await asyncio.gather(self.repeat(end, self.KINDS_OF_REDIS), self.repeat(end, self.KINDS_OF_RELAY))

    async def repeat(self, end, kinds):
        while now() < end:
            await asyncio.sleep(self.random.choice((1, 4, 9)) * self.random.random())
            kind = self.random.choice(kinds)
            self.done[kind] += 1
            await getattr(self, kind)(self.random.choice((0.3, 1, 3)) * STALENESS * self.random.random())

    KINDS_OF_REDIS = ("start_empty", "roll_back", "pause", "flush")
    KINDS_OF_RELAY = ("cut", "delay", "hold", "leave_alone")

    async def start_empty(self, duration):
        await asyncio.to_thread(self.redis.kill)
        (self.redis.folder / "dump.rdb").unlink(missing_ok=True)
        await asyncio.sleep(duration)
        await asyncio.to_thread(self.redis.start)

    async def roll_back(self, duration):
        await asyncio.to_thread(self.redis.save)
        await asyncio.sleep(duration)
        await asyncio.to_thread(self.redis.kill)
        await asyncio.to_thread(self.redis.start)

    async def pause(self, duration):
        self.redis.pause()
        await asyncio.sleep(duration)
        self.redis.resume()

    async def flush(self, _):
        await asyncio.to_thread(self.redis.flush)

    async def cut(self, duration):
        self.relay.cut()
        await asyncio.sleep(2 * duration)
        self.relay.mend()

    async def delay(self, duration):
        self.relay.delay = duration / 4
        await asyncio.sleep(2 * duration)
        self.relay.mend()

    async def hold(self, duration):
        self.relay.hold()
        await asyncio.sleep(2 * duration)
        self.relay.mend()

    async def leave_alone(self, duration):
        await asyncio.sleep(duration)


class Run:
    """All clients of one run, and what they found."""

    def __init__(self, gateways, origin, chaos, seed, seconds):
        self.gateways = gateways
        self.origin = origin
        self.chaos = chaos
        self.seed = seed
        self.end = now() + seconds
        self.counts = collections.Counter()
        self.answered = [set() for _ in gateways]  # the changes' users, by gateway
        self.violations = []
        self.serial = 0

    async def all(self, readers=12, writers=4):
        await asyncio.gather(self.chaos.go_on(self.end),
                             *(self.keep_reading(random.Random(f"{self.seed} reader {number}"), number % GATEWAYS)
                               for number in range(readers)),
                             *(self.keep_changing(random.Random(f"{self.seed} writer {number}"), number % GATEWAYS)
                               for number in range(writers)))

    async def keep_reading(self, choice, gateway):
        caller = Caller(self.gateways[gateway], choice)
        while now() < self.end:
            await self.read(caller, gateway, *self.draw(choice), choice.random() < 0.05)
            await asyncio.sleep(choice.random() * 0.02)
        caller.leave()

    def draw(self, choice):
        team = choice.choice(list(TEAMS))
        return team, choice.choice(READS) % choice.choice((team, TEAMS[team]))

    async def read(self, caller, gateway, team, target, is_own=False):
        began = now()
        try:
            await caller.send("GET", target, *["Cache-Control: no-cache"] * is_own)
            status, fields, body = await caller.receive()
        except Gone:
            status = None
        if status == 200:
            self.judge(gateway, team, target, began, fields, json.loads(body))
        else:
            self.counts["failed"] += 1

    def judge(self, gateway, team, target, began, fields, said):
        ended, history = now(), self.origin.teams[team]
        self.counts["reads"] += 1
        self.counts["hits"] += fields["cache-status"].startswith("psgate; hit")
        least = history.least_through(gateway, began)
        if said["team"] != team or not least <= said["version"] <= history.version:
            self.violations.append(
                f"violation: GET {target} through {gateway} began {began:.4f}, ended {ended:.4f}, got {said} "
                f"({fields['cache-status']}), may be version {least} to {history.version} of {team}\n"
                + "\n".join(history.around(began, ended)))

    async def keep_changing(self, choice, gateway):
        caller = Caller(self.gateways[gateway], choice)
        while now() < self.end:
            # pauses long enough for something to be stored again
            await asyncio.sleep(choice.choice((0.02, 0.3, 1.5)) * choice.random())
            team = choice.choice(list(TEAMS))
            self.serial += 1
            user = f"u{self.serial}"
            self.origin.changes[user] = change = Change(team)
            try:
                await caller.send("PUT", f"/v1/teams/{team}/users/{user}", body=json.dumps({"change": user}))
                self.note_end(gateway, team, user, change, *await caller.receive())
            except Gone:
                self.counts["refused"] += 1
        caller.leave()

    def note_end(self, gateway, team, user, change, status, fields, _):
        if "proxy-status" in fields:
            assert status in (502, 503, 504), status
            self.counts["refused"] += 1
            return
        self.counts["changes"] += 1
        self.answered[gateway].add(user)
        self.origin.teams[team].answer_by(gateway, now(), change.version)

    async def rejoin(self):
        """After the chaos, nothing but time: then all hear of Redis, and store again."""
        caller = [Caller(gateway, random.Random(self.seed)) for gateway in self.gateways]
        until, waiting = now() + REJOIN, set(range(GATEWAYS))
        while waiting and now() < until:
            for gateway in sorted(waiting):
                hits = self.counts["hits"]
                await self.read(caller[gateway], gateway, "t1", READS[0] % "t1")
                if self.counts["hits"] > hits:
                    waiting.discard(gateway)
            await asyncio.sleep(0.05)
        self.violations += [f"violation: gateway {gateway} is not back after {REJOIN} s" for gateway in waiting]

    def check_trail(self, gateway):
        folder = self.gateways[gateway].folder / "audit"
        found = self.gateways[gateway].command("audit", "verify", folder)
        if found.returncode != 0:
            self.violations.append(f"violation: the trail of gateway {gateway}: {found.stdout}{found.stderr}")
        recorded = recorded_changes(folder)
        for user in sorted(self.answered[gateway] - recorded):
            self.violations.append(f"violation: the change {user} through gateway {gateway} has no record")


def recorded_changes(folder):
    """The users whose change has both of its records, the second with a success."""
    records = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    begun = {record["event.id"] for record in records if record["proxy.phase"] == "intent"}
    return {record["user.target.id"] for record in records
            if record["proxy.phase"] == "result" and record["event.id"] in begun and record["event.outcome"] == "success"}


def make_gateway(options, folder, port, redis_url):
    folder.mkdir()
    cluster = {"redis": redis_url, "max_staleness": f"{STALENESS * 1000:.0f}ms"}
    gateway = Gateway(options.binary, folder, f"http://127.0.0.1:{port}", {**CONFIG, "cluster": cluster}, OPERATIONS)
    gateway.add_client("tester")
    return gateway


async def run(options, folder):
    origin = SlowOrigin(f"{options.seed} origin")
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    redis = Redis(folder)
    relay = RedisRelay(redis.port)
    gateways = [make_gateway(options, folder / str(number), port, relay.url if number == 0 else redis.url)
                for number in range(GATEWAYS)]
    try:
        await asyncio.to_thread(redis.start)
        for gateway in gateways:
            await asyncio.to_thread(gateway.start)
        work = Run(gateways, origin, Chaos(redis, relay, random.Random(f"{options.seed} chaos")), options.seed, options.seconds)
        await work.all()
        await work.rejoin()
    finally:
        for gateway in gateways:
            await asyncio.to_thread(gateway.stop)
        relay.stop()
        redis.stop()
        server.close()
    for gateway in range(GATEWAYS):
        work.check_trail(gateway)
    return work, origin


def report(work, origin):
    for violation in work.violations[:5]:
        print(violation)
    counts = work.counts
    print("chaos: " + ", ".join(f"{count} {kind}" for kind, count in sorted(work.chaos.done.items())))
    print(f"fleet: {counts['reads']} reads, {counts['hits']} hits ({100 * counts['hits'] / max(counts['reads'], 1):.0f} %), "
          f"{counts['failed']} failed, {origin.fetches} fetches, {counts['changes']} changes, {counts['refused']} refused, "
          f"{len(work.violations)} violations")
    for failure in origin.errors:
        print(f"the origin failed: {failure}")
    return 1 if work.violations or origin.errors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.environ.get("PSGATE_BINARY", ROOT / "build" / "dev" / "psgate"))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--long", dest="seconds", action="store_const", const=180)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    options.binary = Path(options.binary).resolve()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work, origin = asyncio.run(run(options, Path(folder)))
    return report(work, origin)


if __name__ == "__main__":
    sys.exit(main())
