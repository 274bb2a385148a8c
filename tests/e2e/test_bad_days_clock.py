"""The wall clock jumps, both ways: nothing hangs, nothing ends early, and nothing lives for ever."""

import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import formatdate

import pytest
from support import wire
from support.jwt_stage import JwtStage
from support.origin import OK, by_target, holding
from support.stage import assert_gateway_error
from support.tokens import Key
from support.waiting import wait_until

pytest_plugins = ["support.admin", "support.clocks"]

DAY = 86400
JUMPS = pytest.mark.parametrize("jump", [DAY, -DAY, 20 * 365 * DAY, -20 * 365 * DAY], ids=["day", "day-back", "years", "years-back"])
OPERATIONS = [
    {"id": "lookup", "method": "GET", "path": "/v1/things/{name}", "cache": {"scope": "things", "ttl": "1h"}},
    {"id": "brief", "method": "GET", "path": "/v1/brief/{name}", "cache": {"scope": "brief", "ttl": "1s"}},
    {"id": "dated", "method": "GET", "path": "/v1/dated/{name}", "cache": {"scope": "dated", "freshness": "upstream"}},
    {"id": "change", "method": "POST", "path": "/v1/changes/{name}", "audit": {}},
]
CHANGE = b"POST /v1/changes/a"


@pytest.fixture
def make_timed(make_admin, clock):
    def make(**config):
        stage = make_admin(start=False, operations=OPERATIONS, config=config)
        stage.gateway.environment = clock.environment
        return stage.start()

    return make


def cache_status(stage, target):
    answer = stage.get(target)
    assert answer.status == 200
    return answer.value("Cache-Status"), int(answer.value("Age") or 0)


@JUMPS
def test_what_is_stored_is_as_old_as_the_time_that_has_really_passed(make_timed, clock, jump):
    stage = make_timed()
    dated = wire.head(b"HTTP/1.1 200 OK", b"Date: " + formatdate(usegmt=True).encode(), b"Cache-Control: max-age=3600",
                      b"Content-Length: 2") + b"ok"
    stage.origin.answer = by_target({b"/v1/dated/a": dated})
    for target in (b"/v1/things/a", b"/v1/brief/a", b"/v1/dated/a"):
        assert b"stored" in cache_status(stage, target)[0]
    clock.set(jump)
    for target in (b"/v1/things/a", b"/v1/dated/a"):
        status, age = cache_status(stage, target)
        assert b"hit" in status and age < 60, (target, status, age)
    wait_until(lambda: b"hit" not in cache_status(stage, b"/v1/brief/a")[0], "the end of a second's freshness")


@JUMPS
def test_an_exchange_that_is_under_way_is_not_cut_and_one_that_hangs_is(make_timed, clock, jump):
    stage = make_timed(upstream={"response_timeout": "1s"})
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/held": holding(leave), b"/v1/hung": lambda peer, request: peer.wait_end()})
    with stage.connect() as held, stage.connect() as hung, stage.connect() as idle:
        assert idle.ask(stage.request(b"GET /v1/before HTTP/1.1")).status == 200
        held.send(stage.request(b"GET /v1/held HTTP/1.1"))
        stage.origin.wait_request(2)
        clock.set(jump)
        leave.set()
        assert held.read_response().status == 200
        hung.send(stage.request(b"GET /v1/hung HTTP/1.1"))
        assert_gateway_error(hung.read_response(), 504)
        assert idle.ask(stage.request(b"GET /v1/after HTTP/1.1")).status == 200  # not idle for too long either


@JUMPS
def test_the_trail_says_the_wall_clocks_time_and_the_true_duration_and_stays_whole(make_timed, clock, jump):
    stage = make_timed()
    leave = threading.Event()
    assert stage.change(CHANGE).status == 200
    stage.origin.answer = holding(leave)
    with stage.connect() as client:
        client.send(stage.request(CHANGE + b" HTTP/1.1", b"Content-Length: 0"))
        stage.origin.wait_request(2)
        clock.set(jump)
        leave.set()
        assert client.read_response().status == 200
    stage.origin.answer = OK
    assert stage.change(CHANGE).status == 200
    results = [record for record in stage.trail.records() if record["proxy.phase"] == "result"]
    wanted = datetime.now(timezone.utc) + timedelta(seconds=jump)
    for record in results[1:]:
        when = datetime.fromisoformat(record["@timestamp"].replace("Z", "+00:00"))
        assert abs(when - wanted) < timedelta(minutes=5)
    assert all(0 < record["event.duration"] < 120e9 for record in results)
    sequence = [record["event.sequence"] for record in stage.trail.records()]
    assert sequence == sorted(sequence)


@JUMPS
def test_a_rate_is_neither_refilled_nor_frozen(make_timed, clock, jump):
    stage = make_timed()
    token = stage.gateway.add_client("rated", rate="1/s", burst=50)
    wait_until(lambda: stage.get(b"/v1/a", token=token).status != 401, "the new client")

    def spend():
        return wait_until(lambda: stage.get(b"/v1/a", token=token).status == 429, "the rate's end")

    spend()
    clock.set(jump)
    passed = [stage.get(b"/v1/a", token=token).status for _ in range(30)].count(200)
    assert passed < 25, "a jump has refilled the bucket"
    wait_until(lambda: stage.get(b"/v1/a", token=token).status == 200, "a second's worth")


def test_a_token_ends_when_the_wall_clock_says_so_and_counts_again_when_it_is_set_back(make_timed, clock):
    stage = make_timed()
    soon = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = stage.gateway.add_client("brief", expires=soon)
    wait_until(lambda: soon.encode() in stage.get(b"/.psgate/whoami", token=token).body, "the new client, and its end")
    for jump, status in ((DAY, 401), (-DAY, 200), (0, 200), (3700, 401), (3500, 200)):
        clock.set(jump)
        assert stage.get(b"/v1/a", token=token).status == status, jump
        assert stage.get(b"/v1/a").status == 200  # which never ends


def test_a_jwt_ends_when_the_wall_clock_says_so_though_it_was_good_before(binary, tmp_path, clock):
    key = Key(tmp_path, "rsa", "RS256")
    folder = tmp_path / "stage"
    folder.mkdir()
    stage = JwtStage(binary, folder, key)
    stage.gateway.environment = clock.environment
    stage.start()
    try:
        token = key.token(stage.claims(exp=int(time.time()) + 3600))
        for jump, status in ((0, 200), (DAY, 401), (0, 200), (-DAY, 401), (3500, 200), (3700, 401)):
            clock.set(jump)
            assert stage.ask(token).status == status, jump
    finally:
        stage.stop()
