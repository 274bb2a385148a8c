"""What becomes of a change, and of its record, when Redis goes away before it, in its midst, and at its end."""

import json
import threading
import time

from support.audited import Trail
from support.fleet import STALENESS, Answer, make_fleet  # noqa: F401
from support.stage import assert_gateway_error
from support.waiting import wait_until

SECRETS = b"/v1/teams/t1/secrets"
BODY = b'{"name":"S","value":"unspeakable"}'
LINES = (b"Content-Type: application/json", b"Content-Length: %d" % len(BODY))
SURE = 3 * STALENESS  # for so long a mark is relied on that cannot be renewed


def create(member):
    """A connection on which an audited change is under way."""
    client = member.connect()
    client.send(member.request(b"POST %b HTTP/1.1" % SECRETS, *LINES, body=BODY))
    return client


def trail_of(member):
    return Trail(member.gateway.folder / "audit")


def wait_arrived(fleet, target=SECRETS):
    wait_until(lambda: fleet.script.seen.get(target), "the change at the origin")


def test_a_change_that_cannot_be_announced_is_recorded_as_not_forwarded(make_fleet):
    fleet = make_fleet(1)
    fleet.redis.kill()
    fleet.wait_away()
    with create(fleet[0]) as client:
        answer = client.read_response()
    assert_gateway_error(answer, 503)
    assert "nothing was forwarded" in json.loads(answer.body)["message"]
    assert SECRETS not in fleet.script.seen
    _, result = trail_of(fleet[0]).mutation()
    assert (result["event.outcome"], result["event.reason"]) == ("failure", "not_forwarded")


def test_a_change_whose_mark_surely_stands_is_answered_as_usual(make_fleet):
    fleet = make_fleet(1, config={"cluster": {"max_staleness": "30s"}})
    release = threading.Event()
    fleet.script.answers[SECRETS] = [Answer(after=release, body=b"x" * 100_000)]
    with create(fleet[0]) as client:
        wait_arrived(fleet)
        fleet.redis.kill()
        release.set()
        answer = client.read_response()
    assert (answer.status, answer.body) == (200, b"x" * 100_000)
    _, result = trail_of(fleet[0]).mutation()
    assert result["event.outcome"] == "success"


def test_a_change_whose_mark_may_be_gone_says_that_it_was_made(make_fleet):
    fleet = make_fleet(1)
    release = threading.Event()
    fleet.script.answers[SECRETS] = [Answer(after=release, body=b"not to be seen")]
    with create(fleet[0]) as client:
        wait_arrived(fleet)
        fleet.redis.kill()
        killed = time.monotonic()
        wait_until(lambda: time.monotonic() > killed + SURE + STALENESS, "the mark's time to be over")
        release.set()
        answer = client.read_response()
    assert_gateway_error(answer, 500)
    message = json.loads(answer.body)["message"]
    assert "do not repeat" in message and "upstream answered 200" in message
    assert b"not to be seen" not in answer.body
    assert len(fleet.script.seen[SECRETS]) == 1
    _, result = trail_of(fleet[0]).mutation()
    assert result["event.outcome"] == "success", "the trail knows what upstream said"


def test_a_client_that_leaves_while_its_change_is_announced_leaves_no_mark(make_fleet):
    fleet = make_fleet(1)
    fleet.redis.pause()
    try:
        create(fleet[0]).close()
        wait_until(lambda: '"url.path":"/v1/teams/t1/secrets"' in fleet[0].gateway.stderr(), "the request to be over")
    finally:
        fleet.redis.resume()
    fleet.wait_together()
    assert fleet[0].change().status == 200, "a later change, after which all that was queued is through"
    wait_until(lambda: fleet.redis.ask("ZCARD", "psgate:changes") == "0", "no mark to be left")
    assert SECRETS not in fleet.script.seen
