"""Forwarded and X-Forwarded-For: believed from trusted proxies, and from nobody else."""

import json

import pytest
from support.audited import AuditStage, SourceClient, new_source
from support.logs import Log
from support.proxy_header import header, of_unix
from support.raw import UnixClient

GET = b"GET /v1/a HTTP/1.1"
PROXIES = "127.9.0.0/16"  # where support.audited.new_source is from


@pytest.fixture(scope="module")
def shared(binary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxied")
    config = {"trusted_proxies": [PROXIES, "10.0.0.0/8", "unix:"],
              "listen": [{"address": "127.0.0.1:0", "proxy_protocol": ["127.7.0.1"]}, {"address": f"unix:{folder}/socket"}]}
    stage = AuditStage(binary, folder, config=config)
    stage.gateway.add_client("idle", allow=["getSession"])
    try:
        yield stage.start()
    finally:
        stage.stop()


@pytest.fixture
def stage(shared):
    shared.origin.forget()
    shared.trail.forget()
    yield shared
    shared.check()


def logged_source(stage, client, *lines):
    log = Log(stage.gateway)
    assert client.ask(stage.request(GET, *lines)).status == 200
    return log.wait()[0]["source.address"]


def change(stage, source, *lines):
    body = json.dumps({"name": "A", "value": stage.secret()}).encode()
    return stage.change(b"POST /v1/teams/t1/secrets", *lines, body=body, source=source)


@pytest.mark.parametrize(("lines", "source"), [
    ([b"Forwarded: for=192.0.2.7"], "192.0.2.7"),
    ([b'Forwarded: for="[2001:db8::7]:4711";proto=https'], "2001:db8::7"),
    ([b"X-Forwarded-For: 192.0.2.7"], "192.0.2.7"),
    ([b"X-Forwarded-For: 203.0.113.66, 192.0.2.7, 10.0.0.3"], "192.0.2.7"),
    ([b"Forwarded: for=203.0.113.66", b"Forwarded: for=192.0.2.7", b"Forwarded: for=10.0.0.3"], "192.0.2.7")])
def test_the_trail_has_whom_a_trusted_proxy_forwards_for(stage, lines, source):
    assert change(stage, new_source(), *lines).status == 200
    assert [record["source.ip"] for record in stage.trail.mutation()] == [source, source]


@pytest.mark.parametrize("line", [b"Forwarded: for=unknown", b"Forwarded: for=_hidden", b'Forwarded: for="',
                                  b"X-Forwarded-For: nobody", b"X-Forwarded-For: 192.0.2.7, unknown"])
def test_where_nothing_is_said_it_is_the_proxy(stage, line):
    proxy = new_source()
    assert change(stage, proxy, line).status == 200
    assert stage.trail.mutation()[0]["source.ip"] == proxy


@pytest.mark.parametrize("line", [b"Forwarded: for=192.0.2.7", b"X-Forwarded-For: 192.0.2.7"])
def test_from_an_address_that_is_not_trusted_it_is_ignored(stage, line):
    assert change(stage, None, line).status == 200
    assert stage.trail.mutation()[0]["source.ip"] == "127.0.0.1"


def test_every_request_on_a_connection_has_its_own(stage):
    with SourceClient(stage.gateway.port, new_source()) as client:
        assert logged_source(stage, client, b"Forwarded: for=192.0.2.7") == "192.0.2.7"
        assert logged_source(stage, client, b"Forwarded: for=192.0.2.8") == "192.0.2.8"
        assert logged_source(stage, client).startswith("127.9.")


def test_the_address_of_a_proxy_header_is_judged_not_the_balancers(stage):
    for first, wanted in (("10.0.0.9", "192.0.2.7"), ("198.51.100.9", "198.51.100.9:4711")):
        with SourceClient(stage.gateway.port, "127.7.0.1") as client:
            client.send(header(first))
            assert logged_source(stage, client, b"Forwarded: for=192.0.2.7") == wanted


def test_the_other_end_of_a_unix_socket_may_be_trusted(stage):
    with UnixClient(stage.gateway.folder / "socket") as client:
        assert logged_source(stage, client, b"Forwarded: for=192.0.2.7") == "192.0.2.7"


def test_a_balancers_client_at_a_unix_socket_is_not_one_of_ours(stage):
    with SourceClient(stage.gateway.port, "127.7.0.1") as client:
        client.send(of_unix())
        assert logged_source(stage, client, b"Forwarded: for=192.0.2.7") == "unix"


def test_both_fields_go_on_as_they_came(stage):
    lines = (b"Forwarded: for=192.0.2.7", b"X-Forwarded-For: 192.0.2.7")
    for source in (new_source(), None):
        with stage.connect(source) as client:
            assert client.ask(stage.request(GET, *lines)).status == 200
        assert set(lines) <= set(b": ".join(field) for field in stage.origin.requests[-1].fields)


def test_refused_changes_are_counted_for_each_client_not_for_the_proxy(stage):
    proxy = new_source()
    for source, count in ((b"198.51.100.9", 12), (b"198.51.100.10", 1)):
        for _ in range(count):
            answer = stage.change(b"DELETE /v1/teams/t1/secrets/A", b"X-Forwarded-For: " + source,
                                  token=stage.gateway.tokens["idle"], source=proxy)
            assert answer.status == 403
    stage.trail.wait(11)
    sources = [record["source.ip"] for record in stage.trail.records()]
    assert sorted(sources) == ["198.51.100.10"] + ["198.51.100.9"] * 10


def test_fields_that_contradict_each_other_are_said_once_and_forwarded_counts(make_stage):
    stage = make_stage(config={"trusted_proxies": [PROXIES], "workers": 2})
    log = Log(stage.gateway)
    for _ in range(4):
        with SourceClient(stage.gateway.port, new_source()) as client:
            assert logged_source(stage, client, b"X-Forwarded-For: 192.0.2.8", b"Forwarded: for=192.0.2.7") == "192.0.2.7"
    assert log.text().count("name different clients") == 1
