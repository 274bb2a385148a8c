"""Who may ask the admin endpoint for what: tokens, Host names, origins, methods."""

import json
import re

import pytest
from support.admin import BOTH, DATA, OPEN, PAGE, assert_problem, endpoint, make_on_socket
from support.waiting import wait_until

PURGE = b"/cache/purge?scope=*"
ELSEWHERE = "a page of another origin"


@pytest.fixture(scope="module")
def module_stage(binary, tmp_path_factory):
    from support.stage import Stage
    stage = Stage(binary, tmp_path_factory.mktemp("access"), BOTH)
    stage.gateway.add_client("operator", admin=True)
    stage.gateway.add_client("late", admin=True, expires="2020-01-01T00:00:00Z")
    stage.start()
    yield stage
    stage.stop()


@pytest.fixture
def stage(module_stage):
    yield module_stage
    module_stage.check()


@pytest.fixture
def door(stage):
    return endpoint(stage.gateway)


def ask_all_data(door, *lines, **options):
    answers = [door.ask(target, *lines, **options) for target in DATA]
    return answers + [door.ask(PURGE, *lines, method=b"POST", **options)]


def wrong_token(token):
    """Well-formed but for its checksum."""
    return token[:-1] + ("A" if token[-1] != "A" else "B")


# Tokens


def test_the_page_health_and_metrics_need_no_token(door):
    for target in PAGE + OPEN:
        assert door.ask(target).status == 200, target


def test_data_needs_a_token(door):
    for answer in ask_all_data(door):
        assert "psgate token create" in assert_problem(answer, 401)
        assert answer.value("WWW-Authenticate") == b'Bearer realm="psgate admin"'


def test_data_needs_a_token_that_counts(stage, door):
    unknown = "psgate_" + "A" * 43 + "_000000"
    for token in (unknown, wrong_token(stage.gateway.tokens["operator"]), stage.gateway.tokens["operator"][:-1],
                  stage.gateway.tokens["operator"] + "x", stage.gateway.tokens["late"], stage.gateway.key, "x" * 3000, "*"):
        for answer in ask_all_data(door, token=token):
            assert_problem(answer, 401)


def test_data_needs_an_admin(stage, door):
    for answer in ask_all_data(door, token=stage.gateway.tokens["tester"]):
        assert '"admin": true' in assert_problem(answer, 403)
        assert answer.value("WWW-Authenticate") is None


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
def test_the_scheme_is_in_any_case(stage, door, scheme):
    token = stage.gateway.tokens["operator"].encode()
    for space in (b" ", b"   "):
        assert door.ask(b"/api/status", b"Authorization: " + scheme + space + token).status == 200


def test_other_schemes_and_fields_are_as_good_as_none(stage, door):
    token = stage.gateway.tokens["operator"].encode()
    for line in (b"Authorization: Basic " + token, b"Authorization: " + token, b"Authorization: Bearer", b"Authorization:",
                 b"Authorization: Bearer" + token, b"Authorization: Bearer\t" + token, b"X-Api-Key: " + token,
                 b"Proxy-Authorization: Bearer " + token, b"Cookie: token=" + token):
        assert_problem(door.ask(b"/api/status", line), 401)
    assert_problem(door.ask(b"/api/status?token=" + token), 401)
    assert_problem(door.ask(b"/api/status?access_token=" + token), 401)


def test_a_repeated_authorization_is_refused(stage, door):
    line = b"Authorization: Bearer " + stage.gateway.tokens["operator"].encode()
    for first, second in ((line, line), (line, b"Authorization: x"), (b"Authorization: x", line)):
        assert_problem(door.ask(b"/api/status", first, second), 400)


def test_a_token_is_judged_anew_at_each_request(make_stage):
    stage = make_stage(start=False, config=BOTH)
    token = stage.gateway.add_client("operator", admin=True)
    stage.start()
    door = endpoint(stage.gateway, token)
    with door.connect() as client:
        assert door.ask_on(client, b"/api/clients").status == 200
        stage.gateway.change_client("operator", admin=False)
        wait_until(lambda: door.ask_on(client, b"/api/clients").status == 403, "the client to be no admin any more")
        stage.gateway.command("token", "revoke", "--clients", stage.gateway.clients_file, "--name", "operator")
        wait_until(lambda: door.ask_on(client, b"/api/clients").status == 401, "the token to be gone")


def test_a_token_needs_not_be_repeated_on_a_connection_but_counts_only_where_it_is(stage, door):
    token = stage.gateway.tokens["operator"]
    with door.connect() as client:
        for _ in range(3):
            assert door.ask_on(client, b"/api/clients", token=token).status == 200
            assert door.ask_on(client, b"/api/clients").status == 401


def test_a_token_is_ignored_where_none_is_needed(make_stage):
    stage = make_on_socket(make_stage, start=False)
    stage.gateway.add_client("operator", admin=True)
    stage.start()
    door = endpoint(stage.gateway)
    for token in (None, "rubbish", stage.gateway.tokens["tester"]):
        for answer in ask_all_data(door, token=token):
            assert answer.status == 200


# Names and pages of strangers


def as_sent(*lines, start=b"GET /healthz HTTP/1.1"):
    return b"\r\n".join((start, *lines)) + b"\r\n\r\n"


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST", b"localhost:1", b"127.0.0.1", b"127.0.0.1:80", b"[::1]",
                                  b"[::1]:8080", b"127.1.2.3", b"[0:0:0:0:0:0:0:1]:9"])
def test_names_of_this_machine_are_answered(door, host):
    assert door.raw(as_sent(b"Host: " + host)).status == 200


STRANGERS = [b"evil.test", b"evil.test:80", b"localhost.evil.test", b"127.0.0.1.evil.test", b"evil.test:127", b"10.0.0.1",
             b"0.0.0.0", b"[::]", b"[2001:db8::1]", b"[::ffff:127.0.0.1]", b"127.0.0.1.nip.io", b"localhost.", b"2130706433.x"]


@pytest.mark.parametrize("host", STRANGERS)
def test_names_of_strangers_are_refused(stage, door, host):
    lines = (b"Host: " + host, b"Authorization: Bearer " + stage.gateway.tokens["operator"].encode())
    for target in (b"/", b"/healthz", b"/metrics", b"/api/status"):
        assert_problem(door.raw(as_sent(*lines, start=b"GET %b HTTP/1.1" % target)), 421)
    assert_problem(door.raw(as_sent(*lines, start=b"POST %b HTTP/1.1" % PURGE)), 421)


@pytest.mark.parametrize("host", [b"psgate", b"x", b"2130706433", b"localhost"])
def test_names_without_a_dot_are_strangers_over_tcp_alone(make_stage, door, host):
    assert door.raw(as_sent(b"Host: " + host)).status == (200 if host == b"localhost" else 421)


def test_a_browser_at_the_end_of_a_tunnel_to_the_socket_is_guarded_too(make_stage):
    door = endpoint(make_on_socket(make_stage).gateway)
    for host in (b"localhost", b"localhost:8000", b"127.0.0.1:8000", b"psgate", b"x", b"admin:80"):
        assert door.raw(as_sent(b"Host: " + host)).status == 200
    for host in STRANGERS:
        assert_problem(door.raw(as_sent(b"Host: " + host)), 421)


@pytest.mark.parametrize("lines", [
    (), (b"Host:",), (b"Host: ",), (b"Host: localhost", b"Host: localhost"), (b"Host: localhost", b"Host: evil.test"),
    (b"Host: local host",), (b"Host: localhost:x",), (b"Host: localhost:99999",), (b"Host: user@localhost",),
    (b"Host: localhost/",), (b"Host: [::1",), (b"Host: localhost, evil.test",)])
def test_a_request_without_one_sound_host_is_refused(door, lines):
    answer = door.raw(as_sent(*lines))
    assert_problem(answer, 400)


def test_http_1_0_is_answered_and_ended(door, make_stage):
    old = b"GET /healthz HTTP/1.0"
    assert_problem(door.raw(as_sent(start=old)), 421)
    local = endpoint(make_on_socket(make_stage).gateway)
    for where, lines in ((door, (b"Host: localhost",)), (local, ())):
        with where.connect() as client:
            client.send(as_sent(*lines, start=old))
            answer = client.read_to_end()
        assert answer.startswith(b"HTTP/1.0 200 ") and answer.endswith(b'{"status":"ok"}\n')


@pytest.mark.parametrize("target", [b"http://localhost/healthz", b"http://evil.test/healthz", b"https://localhost/healthz",
                                    b"http:///healthz", b"localhost:80", b"*", b"healthz", b"\\healthz", b"?healthz"])
def test_other_forms_of_targets_are_refused(door, target):
    assert_problem(door.raw(as_sent(b"Host: localhost", start=b"GET %b HTTP/1.1" % target)), 400)


@pytest.mark.parametrize("start", [b"GET /healthz HTTP/1.1", b"GET / HTTP/1.1", b"POST /cache/purge?scope=* HTTP/1.1"])
@pytest.mark.parametrize("line", [
    b"Origin: http://evil.test", b"Origin: null", b"Origin: https://localhost", b"Origin: http://localhost:1",
    b"Origin: http://localhost.evil.test", b"Origin:", b"Origin: http://localhost\r\nOrigin: http://localhost",
    b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Site:", b"Sec-Fetch-Site: Same-Origin",
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site"])
def test_pages_of_other_origins_may_ask_for_nothing(stage, door, start, line):
    token = b"Authorization: Bearer " + stage.gateway.tokens["operator"].encode()
    message = assert_problem(door.raw(as_sent(b"Host: localhost", line, token, start=start)), 403)
    assert ELSEWHERE in message


@pytest.mark.parametrize("line", [b"Origin: http://localhost", b"Origin: http://LOCALHOST", b"Sec-Fetch-Site: same-origin",
                                  b"Sec-Fetch-Site: none"])
def test_the_own_page_may_ask(door, line):
    assert door.raw(as_sent(b"Host: localhost", line)).status == 200


def test_no_answer_allows_another_origin_anything(door):
    for answer in (door.ask(b"/healthz"), door.raw(as_sent(b"Host: localhost", b"Origin: http://evil.test"))):
        assert not [name for name, _ in answer.fields if name.lower().startswith(b"access-control-")]
        assert answer.value("Cross-Origin-Resource-Policy") == b"same-origin"


# Methods and bodies


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT", b"get", b"Get", b"post",
                                    b"GETS", b"HEADER", b"PROPFIND", b"X", b"M-SEARCH"])
def test_other_methods_are_refused(door, method):
    for target in (b"/", b"/metrics", PURGE, b"/nothing"):
        answer = door.raw(as_sent(b"Host: localhost", start=b"%b %b HTTP/1.1" % (method, target)))
        assert_problem(answer, 405)
        assert answer.value("Allow") == b"GET, HEAD, POST"


def test_each_path_takes_its_own_methods(stage, door):
    token = stage.gateway.tokens["operator"]
    for target in OPEN + DATA:
        answer = door.ask(target, method=b"POST", token=token)
        assert_problem(answer, 405)
        assert answer.value("Allow") == b"GET, HEAD"
    for method in (b"GET", b"HEAD"):
        answer = door.ask(PURGE, method=method, token=token)
        assert answer.status == 405 and answer.value("Allow") == b"POST"


def test_the_pages_files_take_no_post(door):
    for target in PAGE:
        answer = door.ask(target, method=b"POST")
        assert_problem(answer, 405)
        assert answer.value("Allow") == b"GET, HEAD"


BODIES = [
    ((b"Content-Length: 1",), b"x", 413), ((b"Content-Length: 1000000000",), b"", 413),
    ((b"Transfer-Encoding: chunked",), b"0\r\n\r\n", 413), ((b"Transfer-Encoding: Chunked",), b"0\r\n\r\n", 413),
    ((b"Content-Length: 0", b"Transfer-Encoding: chunked"), b"0\r\n\r\n", 400),
    ((b"Content-Length: 0", b"Content-Length: 1"), b"x", 400), ((b"Content-Length: 0, 0",), b"", 400),
    ((b"Content-Length: 0", b"Content-Length: 0"), b"", 400),
    ((b"Content-Length: -1",), b"", 400), ((b"Content-Length: +0",), b"", 400), ((b"Content-Length: 0x1",), b"", 400),
    ((b"Content-Length: 99999999999999999999",), b"", 400), ((b"Content-Length:",), b"", 400),
    ((b"Transfer-Encoding : chunked",), b"0\r\n\r\n", 400), ((b"Transfer-Encoding: gzip, chunked",), b"0\r\n\r\n", 400),
    ((b"Transfer-Encoding: xchunked",), b"0\r\n\r\n", 400), ((b"Transfer-Encoding: identity",), b"", 400),
    ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), b"0\r\n\r\n", 400),
    ((b"Transfer-Encoding: chunked, identity",), b"", 400), ((b"Transfer-Encoding:",), b"", 400),
    ((b"Expect: 100-continue",), b"", 400), ((b"Expect: 100-continue", b"Content-Length: 1"), b"", 413),
    ((b"Connection: upgrade", b"Upgrade: websocket"), b"", 400), ((b"Connection: upgrade", b"Upgrade: h2c"), b"", 400),
]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("lines,body,status", BODIES, ids=[str(number) for number in range(len(BODIES))])
def test_bodies_and_their_spellings_are_refused(stage, door, method, lines, body, status):
    token = b"Authorization: Bearer " + stage.gateway.tokens["operator"].encode()
    target = PURGE if method == b"POST" else b"/healthz"
    with door.connect() as client:
        client.send_unheeded(as_sent(b"Host: localhost", token, *lines, start=b"%b %b HTTP/1.1" % (method, target))
                             + body + as_sent(b"Host: localhost"))
        assert_problem(client.read_response(), status)
        client.assert_closed()  # so that what follows is nobody's request


def test_an_empty_body_is_none(stage, door):
    token = stage.gateway.tokens["operator"]
    answer = door.ask(PURGE, b"Content-Length: 0", method=b"POST", token=token)
    assert answer.status == 200 and json.loads(answer.body) == {"purged": "*"}


def test_no_log_line_has_what_was_asked(stage, door):
    door.raw(as_sent(b"Host: localhost", start=b"GET /?hush-a-query HTTP/1.1"))
    door.ask(b"/hush-a-path", b"User-Agent: hush-an-agent", b"Authorization: Bearer hush-a-token")
    assert not re.search("hush", stage.gateway.stderr())
