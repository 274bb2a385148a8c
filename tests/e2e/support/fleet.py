"""Several gateways over one origin and one Redis server."""

from contextlib import ExitStack

import pytest
from support.cache import FRESH, OPERATIONS, Answer, Script, assert_forwarded, assert_hit, cache_status
from support.gateway import Gateway, merged
from support.origin import Origin
from support.redis import Redis
from support.redis_relay import RedisRelay
from support.stage import Stage
from support.waiting import wait_until

STALENESS = 1.0
CHANGING = [
    {"id": "create", "method": "POST", "path": "/v1/things", "invalidates": ["things"]},
    {"id": "createSecret", "method": "POST", "path": "/v1/teams/{teamId}/secrets", "audit": {},
     "invalidates": ["things"]},
    {"id": "remove", "method": "DELETE", "path": "/v1/others/{id}", "invalidates": []},
]
SETTINGS = {"cache": {"unknown_hold": "3s", "other_invalidates": []}, "workers": 2}


class Member(Stage):
    """One gateway of the fleet; the origin is everybody's."""

    def __init__(self, binary, folder, origin, config):
        self.origin = origin
        self.gateway = Gateway(binary, folder, origin.url(), merged(SETTINGS, config), [*OPERATIONS, *CHANGING])
        self.gateway.add_client("tester")

    def stop(self):
        self.gateway.stop()

    def readiness(self):
        return self.get(b"/.psgate/readyz")

    def is_together(self):
        return b'"cluster":"ok"' in self.readiness().body

    def change(self, target=b"/v1/things"):
        return self.get(target, b"Content-Length: 0", method=b"POST")

    def look(self, name=b"a"):
        return self.get(b"/v1/cached/" + name)


class Fleet:
    """The first gateway reaches Redis through the relay if there shall be one."""

    def __init__(self, binary, folders, count, config, redis, has_relay=False):
        self.redis = redis
        self.relay = RedisRelay(redis.port) if has_relay else None
        self.origin = Origin()
        self.script = Script()
        self.origin.answer = self.script
        self.members = []
        for number in range(count):
            url = self.relay.url if has_relay and number == 0 else redis.url
            cluster = {"redis": url, "max_staleness": f"{int(STALENESS * 1000)}ms"}
            own = merged({"cluster": cluster}, config)
            self.members.append(Member(binary, folders.mktemp("member"), self.origin, own))

    def __iter__(self):
        return iter(self.members)

    def __getitem__(self, index):
        return self.members[index]

    def start(self):
        for member in self.members:
            member.gateway.start()
        return self

    def wait_together(self):
        wait_until(lambda: all(member.is_together() for member in self.members), "all gateways to hear from Redis")
        return self

    def wait_away(self):
        wait_until(lambda: not any(member.is_together() for member in self.members), "no gateway to trust Redis")

    def stop(self):
        with ExitStack() as ends:
            ends.callback(self.redis.stop)
            ends.callback(self.origin.stop)
            if self.relay:
                ends.callback(self.relay.stop)
            for member in self.members:
                ends.callback(member.stop)


@pytest.fixture
def make_fleet(binary, tmp_path_factory):
    with ExitStack() as fleets:

        def make(count=2, config=None, redis=None, start=True, has_relay=False):
            redis = redis or Redis(tmp_path_factory.mktemp("redis"))
            fleet = Fleet(binary, tmp_path_factory, count, config or {}, redis, has_relay)
            fleets.callback(fleet.stop)
            if start:
                redis.start().settle()
                fleet.start().wait_together()
            return fleet

        yield make


__all__ = ["FRESH", "STALENESS", "Answer", "assert_forwarded", "assert_hit", "cache_status", "make_fleet"]
