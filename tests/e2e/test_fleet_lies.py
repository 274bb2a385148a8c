"""A Redis server that lies, at each step: the gateway serves on without it, and comes back by itself."""

import time

import pytest
from support.fleet import STALENESS, make_fleet  # noqa: F401
from support.lying_redis import CLOSE, HANG, TRUTH, LyingRedis, bulk
from support.stage import assert_gateway_error
from support.waiting import wait_until

LIES = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "a huge string": b"$2147483646\r\nabc",
    "a string beyond all numbers": b"$99999999999999999999\r\nabc",
    "an endless string": b"$1073741824\r\n" + b"x" * (5 << 20),
    "an endless line": b"+" + b"x" * (5 << 20),
    "a huge list": b"*2147483647\r\n:1\r\n",
    "a list that is too long": b"*32769\r\n" + b":1\r\n" * 32769,
    "long lists in a list": b"*4096\r\n" * 100000,
    "long strings in a list": b"*32768\r\n" + bulk(b"x" * (1 << 20)) * 8,
    "a negative list": b"*-7\r\n",
    "lists in lists": b"*1\r\n" * 5000,
    "nothing": b"$-1\r\n",
    "no list": b"*-1\r\n",
    "an empty list": b"*0\r\n",
    "a number": b":1\r\n",
    "a list of other things": b"*4\r\n:1\r\n:2\r\n*1\r\n$-1\r\n$-1\r\n",
    "an odd list": b"*4\r\n" + bulk(b"0123456789abcdef") + b"*1\r\n:1\r\n*0\r\n:0\r\n",
    "a name that is too long": b"*4\r\n" + bulk(b"e" * 500) + b"*0\r\n*0\r\n:0\r\n",
    "an error": b"-ERR \x1b[31mnot today\x07\r\n",
    "the end": CLOSE,
    "silence": HANG,
}
STEPS = ("SELECT", "SUBSCRIBE", "PING", "SYNC")
# What a step takes for its answer whatever it says.
HARMLESS = {("SELECT", lie) for lie in ("nothing", "no list", "an empty list", "a number", "a list of other things", "an odd list",
                                        "a name that is too long")}


def lying_fleet(make_fleet, lies):
    redis = LyingRedis()
    redis.lies = lies
    fleet = make_fleet(1, redis=redis, start=False, config={"cluster": {"max_staleness": "400ms"}})
    fleet.start()
    return fleet, redis


def told(member):
    """What the log says of Redis, in turn."""
    return [line for line in member.gateway.stderr().splitlines() if "cluster: Redis" in line]


def assert_not_kept(began):
    assert time.monotonic() - began < 4 * STALENESS, "the request was kept waiting"


@pytest.mark.parametrize("step", STEPS)
def test_a_lie_costs_the_trust_and_nothing_else(make_fleet, step):
    fleet, redis = lying_fleet(make_fleet, {})
    fleet.wait_together()
    member = fleet[0]
    for lie, answer in LIES.items():
        if (step, lie) in HARMLESS:
            continue
        wait_until(lambda: not told(member) or " is back: " in told(member)[-1], "the log to say that Redis is back")
        wait_until(lambda: "hit" in repr(member.look().value("Cache-Status")), "a hit")
        before = len(told(member))
        redis.lies = {step: answer}
        if step in ("SELECT", "SUBSCRIBE"):  # which come only once a connection has ended
            redis.lies |= {"PING": CLOSE, "SYNC": CLOSE}
        fleet.wait_away()
        for _ in range(3):
            began = time.monotonic()
            answer = member.look()
            assert answer.status == 200 and "hit" not in repr(answer.value("Cache-Status")), lie
            assert_not_kept(began)
        began = time.monotonic()
        changed = member.change()  # announced all the same if just the other connection is a liar's
        if step == "SELECT" or changed.status != 200:
            assert_gateway_error(changed, 503)
        assert_not_kept(began)
        wait_until(lambda: len(told(member)) > before, "the log to say so")
        said = told(member)[before:]
        assert len(said) == 1 and " is away: " in said[0], f"{lie}: {said}"
        assert "\x1b" not in said[0] and "\x07" not in said[0], lie
        redis.lies = {}
    fleet.wait_together()
    assert member.change().status == 200


@pytest.mark.parametrize("lie", sorted(set(LIES) - {"a number"}))
def test_a_change_that_is_not_announced_properly_is_not_sent(make_fleet, lie):
    fleet, redis = lying_fleet(make_fleet, {})
    fleet.wait_together()
    redis.lies = {"RAISE": LIES[lie]}
    began = time.monotonic()
    assert_gateway_error(fleet[0].change(), 503)
    assert_not_kept(began)
    assert b"/v1/things" not in fleet.script.seen
    redis.lies = {}
    wait_until(lambda: fleet[0].change().status == 200, "changes again")


def test_answers_that_nobody_asked_for_end_the_connection(make_fleet):
    fleet, redis = lying_fleet(make_fleet, {"SYNC": TRUTH["SYNC"] + b"+OK\r\n"})
    wait_until(lambda: "it answers what nobody asked" in fleet[0].gateway.stderr(), "the log to say so")
    assert_gateway_error(fleet[0].change(), 503)
    redis.lies = {}
    fleet.wait_together()


def test_publications_of_any_shape_are_survived(make_fleet):
    fleet, redis = lying_fleet(make_fleet, {})
    fleet.wait_together()
    head = b"*3\r\n" + bulk(b"message") + bulk(b"psgate:raised")
    gateway = b"0" * 16
    shapes = [b"", b"\n", gateway, gateway + b"\n1", gateway + b"\n1\n", gateway + b"\n1\nno such scope", b"\0" * 40,
              gateway + b"\n1\n" + b"s" * 60000, gateway + b"\n9\nthings", gateway + b"\n0\nthings"]
    redis.lies = {"PING": b"".join(head + bulk(shape) for shape in shapes) + b"*1\r\n" + bulk(b"message")
                  + b"*3\r\n" + bulk(b"message") + b":1\r\n*0\r\n" + TRUTH["PING"]}
    seen = redis.received.count("PING")
    wait_until(lambda: redis.received.count("PING") > seen + 3, "some more pings")
    assert fleet[0].is_together()
    redis.lies = {}
    wait_until(lambda: "hit" in repr(fleet[0].look().value("Cache-Status")), "hits")


def test_a_redis_that_sends_a_byte_at_a_time_is_believed(make_fleet):
    fleet, redis = lying_fleet(make_fleet, {})
    redis.is_slow = True
    fleet.wait_together()
    assert fleet[0].change().status == 200


def test_a_password_that_redis_repeats_is_not_logged(make_fleet):
    redis = LyingRedis()
    secret = "correct-horse-battery"
    redis.lies = {"AUTH": b"-ERR unknown command 'AUTH', with args beginning with: '%b'\r\n" % secret.encode()}
    fleet = make_fleet(1, redis=redis, start=False)
    gateway = fleet[0].gateway
    config = gateway.config
    config["cluster"]["password_file"] = "redis-password"
    (gateway.folder / "redis-password").write_text(secret + "\n")
    (gateway.folder / "redis-password").chmod(0o600)
    gateway.write_config(config)
    gateway.secrets.append(secret)
    fleet.start()
    wait_until(lambda: "it refuses the password (ERR)" in gateway.stderr(), "the log to say so")
    redis.lies = {}
    fleet.wait_together()
