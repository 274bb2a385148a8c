"""TLS upstream: connections are used again, and new ones resume the session of the last."""

import ssl

import pytest
from support import wire
from support.origin import closing
from support.waiting import wait_event, wait_until

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS.values(), ids=VERSIONS.keys())
def context(request, authority):
    """An origin's context that speaks one version."""
    context = authority.server_context("right")
    context.minimum_version = context.maximum_version = request.param
    return context


def stage_over(make_stage, authority, context):
    return make_stage(config={"workers": 1, "upstream": {"ca_file": str(authority.ca_file)}},
                      tls=context, upstream_host="localhost")


def test_requests_to_a_tls_upstream_share_a_connection(make_stage, authority, context):
    stage = stage_over(make_stage, authority, context)
    methods = [b"GET", b"POST", b"PUT", b"OPTIONS", b"DELETE"] * 4
    with stage.connect() as client:
        for method in methods:
            assert client.ask(stage.request(method + b" /v1/a HTTP/1.1"), method.decode()).status == 200
    assert [request.method for request in stage.origin.requests] == methods
    assert len({request.peer for request in stage.origin.requests}) == 1


def resumptions(stage, count, ending):
    """Asks so often, each time on a new connection upstream; which of them were resumed."""
    resumed = []

    def answer(peer, request):
        resumed.append(peer.sock.session_reused)
        ending(peer, request)

    stage.origin.answer = answer
    for number in range(count):
        assert stage.get(b"/v1/%d" % number).status == 200
        wait_event(stage.origin.requests[number].peer.ended, "the origin to close")
    assert len({request.peer for request in stage.origin.requests}) == count
    return resumed


def test_a_second_connection_resumes_the_session_of_the_first(make_stage, authority, context):
    stage = stage_over(make_stage, authority, context)
    assert resumptions(stage, 4, closing(wire.response())) == [False, True, True, True]


def test_a_session_is_resumed_after_an_answer_that_closes_the_connection(make_stage, authority, context):
    stage = stage_over(make_stage, authority, context)
    ending = closing(wire.response(b"HTTP/1.1 200 OK", b"Connection: close"))
    assert resumptions(stage, 3, ending) == [False, True, True]


def test_an_origin_that_resumes_nothing_is_used_all_the_same(make_stage, authority, context):
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    stage = stage_over(make_stage, authority, context)
    assert len(resumptions(stage, 3, closing(wire.response()))) == 3


def test_after_a_reload_no_session_of_the_old_trust_is_resumed(make_stage, authority, context):
    stage = stage_over(make_stage, authority, context)
    assert resumptions(stage, 2, closing(wire.response())) == [False, True]
    upstream = {**stage.gateway.config["upstream"], "ca_file": str(authority.folder / "self-signed.pem")}
    stage.gateway.write_config({**stage.gateway.config, "upstream": upstream})
    stage.gateway.hang_up()
    wait_until(lambda: stage.get(b"/v1/a").status == 502, "the reload")
    before = len(stage.origin.requests)
    assert [stage.get(b"/v1/b").status for _ in range(3)] == [502] * 3
    assert len(stage.origin.requests) == before
