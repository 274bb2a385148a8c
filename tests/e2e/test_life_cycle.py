"""Starting, stopping, and what is said when that fails."""

import json
import re
import socket
import threading

import pytest
from support.origin import by_target, holding
from support.raw import Client
from support.waiting import DEADLINE, wait_until
from support.wire import Ended

GET = b"GET /v1/a HTTP/1.1"
PROBLEM = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<path>[^:]+): .+")


@pytest.fixture
def idle(make_stage):
    return make_stage(start=False).gateway


def refuses_connections(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_a_stop_finishes_what_is_in_flight_and_takes_nothing_new(make_stage):
    stage = make_stage(config={"limits": {"drain_timeout": "20s"}})
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    with stage.connect() as busy, stage.connect() as idle:
        assert idle.ask(stage.request(GET)).status == 200
        busy.send(stage.request(b"GET /v1/slow HTTP/1.1"))
        stage.origin.wait_request(2)
        stage.gateway.process.terminate()
        wait_until(lambda: refuses_connections(stage.gateway.port), "the listener to close")
        idle.assert_closed()
        leave.set()
        answer = busy.read_response()
        assert answer.status == 200 and answer.body == b"ok"
        busy.assert_closed()
    assert stage.gateway.process.wait(DEADLINE) == 0


def test_a_stop_waits_no_longer_than_the_drain_timeout(make_stage):
    stage = make_stage(config={"limits": {"drain_timeout": "300ms"}})
    stage.origin.answer = lambda peer, request: peer.wait_end()
    with stage.connect() as client:
        client.send(stage.request(GET))
        stage.origin.wait_request()
        stage.gateway.process.terminate()
        assert stage.gateway.process.wait(DEADLINE) == 0


def test_sigint_stops_too(make_stage):
    stage = make_stage()
    stage.gateway.process.send_signal(2)
    assert stage.gateway.process.wait(DEADLINE) == 0


def test_a_stop_under_load_fails_no_request_that_was_begun(make_stage):
    stage = make_stage()
    wrong, whole = [], []

    def load():
        try:
            with stage.connect() as client:
                while True:
                    answer = client.ask(stage.request(GET))
                    (whole if answer.status == 200 else wrong).append(answer.start)
        except Ended as ended:
            if ended.partial:
                wrong.append(ended.partial)
        except (ConnectionError, BrokenPipeError):
            pass

    threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(whole) > 50, "the load to run")
    stage.gateway.process.terminate()
    for thread in threads:
        thread.join()
    assert stage.gateway.process.wait(DEADLINE) == 0
    assert wrong == [] and len(whole) == len(stage.origin.requests)


def test_a_kill_of_upstream_in_the_middle_of_an_answer_cuts_it_short(make_stage):
    stage = make_stage()
    stage.origin.answer = lambda peer, request: (peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
                                                 peer.wait_end())
    with stage.connect() as client:
        client.send(stage.request(GET))
        pieces = client.body_pieces(client.read_head())
        assert next(pieces) == b"hello"
        stage.origin.stop()
        with pytest.raises(Ended):
            list(pieces)


def test_a_taken_port_is_said_in_one_line_and_the_status_is_1(idle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        idle.write_config({**idle.config, "listen": [{"address": f"127.0.0.1:{port}"}]})
        result = idle.serve_in_vain()
    assert result.returncode == 1
    assert [str(port) in line for line in result.stderr.splitlines() if re.search("error|in use", line, re.I)] == [True]


def test_several_listeners_each_print_their_address(make_stage):
    stage = make_stage(config={"listen": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0"},
                                          {"address": "[::1]:0"}]})
    assert len(set(stage.gateway.ports)) == 3
    for host, port in zip(("127.0.0.1", "127.0.0.1", "::1"), stage.gateway.ports):
        with Client(port, host) as client:
            assert client.ask(stage.request(GET)).status == 200


BAD = {
    "unknown-member": ({"worker": 2}, "worker", "workers"),
    "unknown-inner-member": ({"upstream": {"uri": "http://127.0.0.1:1"}}, "upstream.uri", "url"),
    "wrong-type": ({"workers": "two"}, "workers", ""), "negative": ({"workers": -1}, "workers", ""),
    "bad-duration": ({"limits": {"header_timeout": "soon"}}, "limits.header_timeout", ""),
    "bad-size": ({"limits": {"header_bytes": "32 potatoes"}}, "limits.header_bytes", ""),
    "url-with-path": ({"upstream": {"url": "https://api.test/v1"}}, "upstream.url", ""),
    "plain-http-elsewhere": ({"upstream": {"url": "http://api.test"}}, "upstream", ""),
    "plain-http-to-a-name": ({"upstream": {"url": "http://localhost:1"}}, "upstream", ""),
    "listener-without-tls-elsewhere": ({"listen": [{"address": "0.0.0.0:0"}]}, "listen", ""),
    "bad-address": ({"listen": [{"address": "nowhere"}]}, "listen", ""),
    "inline-key": ({"credentials": {"default": {"api_key": "x"}}}, "credentials.default.api_key", ""),
    "ca-missing": ({"upstream": {"url": "https://localhost:1", "ca_file": "none.pem"}}, "upstream.ca_file", ""),
    "encoded-slashes": ({"upstream": {"encoded_slashes": "maybe"}}, "upstream.encoded_slashes", ""),
}


@pytest.mark.parametrize("members, path, hint", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_bad_configuration_is_said_with_its_place_and_the_status_is_78(make_stage, command, members, path, hint):
    gateway = make_stage(start=False, config=members).gateway
    result = gateway.command(command, "-c", gateway.config_file)
    assert result.returncode == 78
    problems = [match for line in (result.stdout + result.stderr).splitlines() if (match := PROBLEM.match(line))]
    assert any(match["path"].startswith(path) and hint in match[0] and match["file"].endswith("psgate.json")
               for match in problems), result


def test_check_says_every_problem(make_stage):
    gateway = make_stage(start=False, config={"workers": "two", "bogus": 1, "limits": {"headers": "many"}}).gateway
    result = gateway.command("check", "-c", gateway.config_file)
    paths = {match["path"] for line in (result.stdout + result.stderr).splitlines() if (match := PROBLEM.match(line))}
    assert result.returncode == 78 and {"workers", "bogus", "limits.headers"} <= paths


def test_check_of_a_good_configuration_is_content_and_changes_nothing(idle):
    before = {path.name: path.read_bytes() for path in idle.folder.iterdir()}
    assert idle.command("check", "--offline", "-c", idle.config_file).returncode == 0
    assert {path.name: path.read_bytes() for path in idle.folder.iterdir()} == before


@pytest.mark.parametrize("text, line",
                         [('{\n  "workers": 2,\n  oops\n}', 3), ("", 1), ("[]", 1),
                          ('{"workers": 1,\n "workers": 2}', 2), ('{"workers": 2} x', 1)])
def test_a_configuration_that_is_no_json_object_is_refused_with_its_line(idle, text, line):
    idle.config_file.write_text(text)
    result = idle.serve_in_vain()
    assert result.returncode == 78 and re.search(rf"psgate\.json:{line}:\d+: ", result.stderr), result.stderr


@pytest.mark.parametrize("member", ["credentials", "clients_file"])
def test_what_is_required_is_asked_for(idle, member):
    idle.write_config({key: value for key, value in idle.config.items() if key != member})
    result = idle.serve_in_vain()
    assert result.returncode == 78 and member in result.stderr


def test_a_missing_configuration_is_refused(idle):
    idle.config_file.unlink()
    assert idle.serve_in_vain().returncode == 78


@pytest.mark.parametrize("arguments", [(), ("bogus",), ("serve", "--bogus"), ("check", "-c")])
def test_a_wrong_command_line_gives_status_64(idle, arguments):
    result = idle.command(*arguments)
    assert result.returncode == 64 and result.stderr and result.stdout == ""


@pytest.mark.parametrize("arguments",
                         [("--help",), ("serve", "--help"), ("check", "--help"), ("token", "--help"),
                          ("sandbox", "--help"), ("--version",)])
def test_help_and_version_are_printed(idle, arguments):
    result = idle.command(*arguments)
    assert result.returncode == 0 and "psgate" in result.stdout


def test_the_key_may_come_from_the_environment_and_is_gone_from_it(make_stage, monkeypatch):
    stage = make_stage(start=False)
    monkeypatch.setenv("TEST_API_KEY", stage.gateway.key)
    stage.gateway.write_config({**stage.gateway.config, "credentials": {"default": {"api_key_env": "TEST_API_KEY"}}})
    stage.start().get(b"/v1/a")
    assert stage.origin.requests[0].values("Authorization") == [stage.fill(b"Bearer @KEY@")]
    with open(f"/proc/{stage.gateway.pid}/environ", "rb") as environ:
        assert stage.gateway.key.encode() not in environ.read()


def test_paths_of_the_configuration_may_name_variables(make_stage, monkeypatch):
    stage = make_stage(start=False)
    monkeypatch.setenv("TEST_FOLDER", str(stage.gateway.folder))
    stage.gateway.write_config({**stage.gateway.config, "clients_file": "${TEST_FOLDER}/clients.json"})
    assert stage.start().get(b"/v1/a").status == 200


def test_the_process_makes_no_core_file(make_stage):
    stage = make_stage()
    limits = open(f"/proc/{stage.gateway.pid}/limits").read()
    assert re.search(r"Max core file size +0 +", limits)


def test_the_access_log_names_the_client_and_no_query(make_stage):
    stage = make_stage()
    stage.get(b"/v1/a?secret-query=1")
    wait_until(lambda: "tester" in stage.gateway.stderr(), "the access log")
    assert "secret-query" not in stage.gateway.stderr()
    for line in stage.gateway.stderr().splitlines():
        json.loads(line)
