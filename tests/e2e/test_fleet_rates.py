"""Rates over a fleet: together the gateways admit what one would. Rates of an hour: nothing here depends on time."""

import json
import threading

import pytest
from support.fleet import make_fleet  # noqa: F401
from support.lying_redis import HANG, LyingRedis
from support.waiting import wait_until

PLAIN = b"/v1/plain"


def limited(make_fleet, count=2, redis=None, config=None, **members):
    """A fleet, together, and the token of its client `limited`, which is the same everywhere."""
    fleet = make_fleet(count, redis=redis, config=config, start=False)
    first = fleet[0].gateway
    token = first.add_client("limited", **members)
    entry = next(client for client in first.read_clients() if client["name"] == "limited")
    for member in list(fleet)[1:]:
        clients = [*member.gateway.read_clients(), entry]
        member.gateway.clients_file.write_text(json.dumps({"clients": clients}))
        member.gateway.secrets.append(token)
    fleet.redis.start().settle()
    fleet.start().wait_together()
    return fleet, token


def statuses(member, token, count, target=PLAIN):
    return [member.get(target, token=token).status for _ in range(count)]


def assert_refused(answer, name, low, high):
    assert answer.status == 429
    wait = int(answer.value("Retry-After"))
    assert low <= wait <= high
    assert answer.values("RateLimit-Policy") == [b'"%b";q=1;w=3600' % name]
    limit = dict(part.split(b"=") for part in answer.value("RateLimit").split(b";")[1:])
    assert limit[b"r"] == b"0" and int(limit[b"t"]) >= wait
    return int(limit[b"t"])


def test_two_gateways_admit_together_what_one_would(make_fleet):
    fleet, token = limited(make_fleet, rate="1/h", burst=5)
    admitted = [member.get(PLAIN, token=token).status for _ in range(6) for member in fleet]
    assert admitted == [200] * 5 + [429] * 7
    resets = [assert_refused(member.get(PLAIN, token=token), b"client", 3000, 3600) for member in fleet]
    assert abs(resets[0] - resets[1]) < 600 and 4 * 3600 < min(resets) and max(resets) <= 5 * 3600
    assert all(member.get(PLAIN).status == 200 for member in fleet), "another client is not concerned"


def test_the_burst_holds_for_many_at_once(make_fleet):
    fleet, token = limited(make_fleet, rate="1/h", burst=20)
    results = []
    threads = [threading.Thread(target=lambda member=member: results.extend(statuses(member, token, 10)))
               for member in fleet for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200] * 20 + [429] * 20


def test_the_limit_towards_upstream_is_the_fleets(make_fleet):
    fleet, token = limited(make_fleet, config={"limits": {"upstream_rate": "1/h", "upstream_burst": 4}})
    assert [member.get(PLAIN).status for _ in range(4) for member in fleet].count(200) == 4
    assert len(fleet.origin.requests) == 4
    for member in fleet:
        answer = member.get(PLAIN)
        assert_refused(answer, b"upstream", 3000, 3600)


def test_without_redis_each_counts_alone_from_what_it_knows_and_with_it_together_again(make_fleet):
    fleet, token = limited(make_fleet, rate="1/h", burst=6)
    assert statuses(fleet[0], token, 2) == statuses(fleet[1], token, 1) * 2 == [200] * 2
    fleet.redis.pause()
    fleet.wait_away()
    assert statuses(fleet[0], token, 6) == [200] * 4 + [429] * 2, "it knew of its own two"
    assert statuses(fleet[1], token, 6) == [200] * 3 + [429] * 3, "it knew of all three"
    fleet.redis.resume()
    fleet.wait_together()
    assert [member.get(PLAIN, token=token).status for _ in range(3) for member in fleet] == [200] * 3 + [429] * 3


def test_a_client_that_leaves_while_its_token_is_asked_for_leaves_nothing_behind(make_fleet):
    redis = LyingRedis()
    redis.lies = {"TAKE": HANG}
    fleet, token = limited(make_fleet, count=1, redis=redis, config={"cluster": {"max_staleness": "5s"}},
                           rate="1/h", burst=5, concurrency=1)
    member = fleet[0]
    client = member.connect()
    client.send(member.request(b"GET /v1/left HTTP/1.1", token=token))
    wait_until(lambda: "TAKE" in redis.received, "the question")
    port = client.sock.getsockname()[1]
    client.reset()
    wait_until(lambda: f"client 127.0.0.1:{port}: closed" in member.gateway.stderr(), "the gateway to see it")
    redis.lies = {}
    wait_until(lambda: member.get(PLAIN, token=token).status == 200, "its place to be free")
    assert b"/v1/left" not in fleet.script.seen


@pytest.mark.parametrize("answer", [b"*2\r\n:1\r\n:9223372036854775807\r\n", b"*2\r\n:0\r\n:-9223372036854775808\r\n",
                                    b"*2\r\n:0\r\n:1000000000000000\r\n", b"*2\r\n+1\r\n+1\r\n", b"*0\r\n", b"$-1\r\n", HANG])
def test_a_lie_about_a_token_is_not_believed(make_fleet, answer):
    redis = LyingRedis()
    redis.lies = {"TAKE": answer}
    fleet, token = limited(make_fleet, count=1, redis=redis, rate="1/h", burst=2)
    assert statuses(fleet[0], token, 3) == [200, 200, 429], "its own bucket counts"
    assert_refused(fleet[0].get(PLAIN, token=token), b"client", 3000, 3600)
