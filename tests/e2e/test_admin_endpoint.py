"""The admin endpoint's doors: where it listens, what is behind each, and the page's files."""

import os
import re
import stat

import pytest
from support.admin import (BOTH, DATA, OPEN, PAGE, assert_problem, endpoint, logged_urls, make_on_socket, metrics_door,
                           unix)
from support.origin import Origin
from support.raw import Client
from support.waiting import wait_until

TYPES = {b"/": b"text/html", b"/page.js": b"text/javascript", b"/page.css": b"text/css", b"/chart.js": b"text/javascript",
         b"/chart.css": b"text/css", b"/favicon.svg": b"image/svg+xml"}


@pytest.fixture
def stage(make_stage):
    return make_stage(config=BOTH)


@pytest.fixture
def admin_token(make_stage):
    """A stage with an endpoint on TCP, and the token of an admin client there."""
    stage = make_stage(start=False, config=BOTH)
    token = stage.gateway.add_client("operator", admin=True)
    stage.start()
    return stage, token


def test_everything_is_there_for_an_admin(admin_token):
    stage, token = admin_token
    door = endpoint(stage.gateway, token)
    for target in PAGE + OPEN + DATA:
        answer = door.ask(target)
        assert answer.status == 200 and answer.body, target
        assert answer.value("Date"), answer.fields
    assert door.ask(b"/cache/purge?scope=*", method=b"POST").status == 200


def test_a_unix_socket_has_mode_0660_and_needs_no_token(make_stage):
    stage = make_on_socket(make_stage)
    path = stage.gateway.folder / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660 and stat.S_ISSOCK(path.stat().st_mode)
    door = endpoint(stage.gateway)
    assert door.where == str(path)
    for target in PAGE + OPEN + DATA:
        assert door.ask(target).status == 200, target
    assert door.ask(b"/cache/purge?scope=*", method=b"POST").status == 200
    stage.gateway.stop()
    assert not path.exists()


def test_the_mode_does_not_come_from_the_umask(make_stage):
    stage = make_on_socket(make_stage, start=False)
    before = os.umask(0)
    try:
        stage.start()
    finally:
        os.umask(before)
    assert stat.S_IMODE((stage.gateway.folder / "admin.sock").stat().st_mode) == 0o660


def test_nothing_but_api_listeners_is_printed(stage):
    endpoint(stage.gateway)
    assert len(stage.gateway.stdout().splitlines()) == 1


def test_without_a_section_there_is_no_endpoint(make_stage):
    for config in ({}, {"admin": None}, {"admin": {}}, {"admin": {"address": None, "metrics_address": None}}):
        stage = make_stage(config=config)
        stage.gateway.stop()
        assert "admin:" not in stage.gateway.stderr(), config


def test_metrics_can_be_alone(make_stage):
    stage = make_stage(config={"admin": {"metrics_address": "127.0.0.1:0"}})
    assert metrics_door(stage.gateway).ask(b"/metrics").status == 200
    assert logged_urls(stage.gateway, "endpoint") == []


def test_metrics_may_be_on_any_address_and_under_any_name(make_stage):
    stage = make_stage(config={"admin": {"metrics_address": "0.0.0.0:0"}})
    door = metrics_door(stage.gateway)
    for host in (b"evil.test", b"10.0.0.1:9", b"localhost", b"[2001:db8::1]:80"):
        answer = door.raw(b"GET /metrics HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        assert answer.status == 200 and b"psgate_build_info" in answer.body


def test_the_metrics_address_has_metrics_alone(admin_token):
    stage, token = admin_token
    door = metrics_door(stage.gateway)
    for target in [b"/", b"/page.js", b"/healthz", b"/readyz", *DATA, b"/metrics/", b"/nothing"]:
        assert_problem(door.ask(target, token=token), 404)
    assert_problem(door.ask(b"/cache/purge?scope=*", method=b"POST", token=token), 404)
    assert_problem(door.ask(b"/metrics", method=b"POST"), 405)
    answer = door.ask(b"/metrics", method=b"HEAD")
    assert answer.status == 200 and answer.body == b"" and int(answer.value("Content-Length")) > 1000


def test_other_paths_are_404_in_every_spelling(stage):
    door = endpoint(stage.gateway)
    for target in [b"/nothing", b"/healthz/", b"/HEALTHZ", b"//healthz", b"/./healthz", b"/%68ealthz", b"/page.js/",
                   b"/api", b"/api/", b"/api/status/", b"/cache", b"/../etc/passwd", b"/.psgate/healthz", b"/;"]:
        assert_problem(door.ask(target), 404)


def test_a_query_changes_nothing_where_none_is_known(stage):
    door = endpoint(stage.gateway)
    for query in [b"", b"a", b"=", b"&&", b"a=%zz", b"%", b"a=b=c", b"?", b"a;b", b"/../", b"~!$'()*,;:@/?"]:
        assert door.ask(b"/healthz?" + query).status == 200, query


@pytest.mark.parametrize("path", PAGE)
def test_the_pages_files_are_revalidated(stage, path):
    door = endpoint(stage.gateway)
    whole = door.ask(path)
    assert whole.value("Content-Type").partition(b";")[0] == TYPES[path]
    etag = whole.value("ETag")
    for given in (etag, b"*", b"W/" + etag, b'"other", ' + etag, b'"other",W/' + etag + b', "x"'):
        answer = door.ask(path, b"If-None-Match: " + given)
        assert answer.status == 304, given
        assert answer.body == b"" and answer.value("ETag") == etag and not answer.values("Content-Length")
    for given in (b'"other"', b"other", etag[1:-1], etag[:-2] + b'"'):
        answer = door.ask(path, b"If-None-Match: " + given)
        assert answer.status == 200 and answer.body == whole.body, given


def test_an_answer_304_leaves_the_connection_usable(stage):
    door = endpoint(stage.gateway)
    with door.connect() as client:
        etag = door.ask_on(client, b"/").value("ETag")
        for _ in range(3):
            assert door.ask_on(client, b"/", b"If-None-Match: " + etag).status == 304
            assert door.ask_on(client, b"/healthz").status == 200


def test_head_gives_what_get_gives_without_the_body(admin_token):
    stage, token = admin_token
    door = endpoint(stage.gateway, token)
    for target in PAGE + [b"/healthz", b"/readyz", b"/nothing"] + DATA[1:2]:
        full, bare = door.ask(target), door.ask(target, method=b"HEAD")
        assert bare.status == full.status and bare.body == b""
        assert [f for f in bare.fields if f[0] != b"Date"] == [f for f in full.fields if f[0] != b"Date"], target


def test_the_page_has_no_data_and_no_inline_script(stage):
    page = endpoint(stage.gateway).ask(b"/").body.lower()
    assert b"tester" not in page and b"<style" not in page and b" style=" not in page
    assert b"javascript:" not in page and not re.search(rb"<[^>]* on[a-z]+=", page)
    assert page.count(b"<script") == len(re.findall(rb'<script [^>]*src="[^"]+"></script>', page))


# Where it cannot be opened


def test_only_loopback_is_allowed_for_the_endpoint(make_stage):
    for address in ("0.0.0.0:0", "10.0.0.1:9090", "[::]:0", "[2001:db8::1]:80", "192.168.1.1:1"):
        stage = make_stage(start=False, config={"admin": {"address": address}})
        gateway = stage.gateway
        for command in (("check", "--offline", "-c"), ("serve", "-c")):
            result = gateway.command(*command, gateway.config_file)
            assert result.returncode == 78, result
            said = [line for line in (result.stdout + result.stderr).splitlines() if "admin.address" in line]
            assert len(said) == 1 and "is not a loopback address" in said[0] and "metrics_address" in said[0], result


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.8.7:0", "[::1]:0"])
def test_every_loopback_address_may_be_asked_by_its_number(make_stage, address):
    stage = make_stage(config={"admin": {"address": address}})
    url = wait_until(lambda: logged_urls(stage.gateway, "endpoint"), "the endpoint")[0]
    host, _, port = url.removeprefix("http://").rpartition(":")
    with Client(int(port), host.strip("[]")) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: %b:%b\r\n\r\n" % (host.encode(), port.encode()))
        assert client.read_response().status == 200


def test_a_taken_port_ends_the_start(make_stage):
    other = Origin()
    try:
        for member in ("address", "metrics_address"):
            stage = make_stage(start=False, config={"admin": {member: f"127.0.0.1:{other.port}"}})
            result = stage.gateway.serve_in_vain()
            assert result.returncode == 1, result
            last = result.stderr.splitlines()[-1]
            assert last.startswith("psgate: ") and str(other.port) in last and "the address is in use" in last, last
    finally:
        other.stop()


def test_a_missing_folder_of_the_socket_ends_the_start(make_stage):
    stage = make_stage(start=False, config=unix("/nonexistent/missing/admin.sock"))
    result = stage.gateway.serve_in_vain()
    assert result.returncode == 1, result
    last = result.stderr.splitlines()[-1]
    assert "missing/admin.sock" in last and "o such file or directory" in last, last


def test_a_served_socket_is_not_taken_over(make_stage):
    first = make_on_socket(make_stage)
    path = first.gateway.folder / "admin.sock"
    second = make_stage(start=False, config=unix(str(path)))
    result = second.gateway.serve_in_vain()
    assert result.returncode == 1 and str(path) in result.stderr.splitlines()[-1]
    assert endpoint(first.gateway).ask(b"/healthz").status == 200


def test_a_left_behind_socket_is_replaced(make_stage):
    stage = make_on_socket(make_stage)
    stage.gateway.process.kill()
    stage.gateway.process.wait()
    assert (stage.gateway.folder / "admin.sock").exists()
    stage.gateway.start()
    assert endpoint(stage.gateway).ask(b"/healthz").status == 200
