"""`psgate check` of a configuration that loads: what else it tries, and what it says to do."""

import datetime
import json
import re
import socket
from contextlib import contextmanager

import pytest
from support import wire
from support.disks import tmpfs  # noqa: F401
from support.gateway import write_private
from support.lying_redis import LyingRedis
from support.origin import Origin
from support.redis import Redis
from support.terminal import run_on_terminal
from support.tls_clients import Issuer

ROW = re.compile(r"(?P<mark>ok|warning|problem) +(?P<place>\S+) +(?P<result>\S.*)")


@pytest.fixture
def gateway(make_stage):
    return make_stage(start=False).gateway


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    issuer = Issuer(tmp_path_factory.mktemp("check"), "root")
    issuer.issue("good", "/CN=good", end=20)
    issuer.issue("ending", "/CN=ending", end=10)
    issuer.issue("expired", "/CN=expired", begin=-9, end=-1)
    issuer.issue("early", "/CN=early", begin=1, end=20)
    issuer.crl("good.crl", end=20)
    issuer.crl("stale.crl", begin=-9, end=-1)
    issuer.crl("early.crl", begin=1, end=20)
    folder = issuer.folder
    (folder / "chain.pem").write_text((folder / "good.pem").read_text() + (folder / "expired.pem").read_text())
    (folder / "chain.key").write_text((folder / "good.key").read_text())
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    return issuer


def check(gateway, *options, **members):
    """Runs it, offline unless told; its rows by place, and its result. Nothing may have changed."""
    gateway.write_config({**gateway.config, **members})
    before = {path: path.is_file() and path.read_bytes() for path in gateway.folder.rglob("*")}
    result = gateway.command("check", "-c", gateway.config_file, *(options or ("--offline",)))
    assert {path: path.is_file() and path.read_bytes() for path in gateway.folder.rglob("*")} == before
    rows = {}
    for match in filter(None, map(ROW.match, result.stdout.splitlines())):
        rows.setdefault(match["place"], []).append((match["mark"], match["result"]))
    assert_lines_match_rows(result)
    return rows, result


def assert_lines_match_rows(result):
    """Each warning and problem is a line on standard error too, with its place; each says what to do."""
    rows = [match for match in map(ROW.match, result.stdout.splitlines()) if match and match["mark"] != "ok"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(rows) == sum(line.lstrip().startswith("next: ") for line in result.stdout.splitlines())
    for row, line in zip(rows, lines):
        mark = "warning: " if row["mark"] == "warning" else ""
        assert re.fullmatch(rf"\S+psgate\.json:\d+:\d+: {re.escape(row['place'])}: {mark}{re.escape(row['result'])} \(.+\)", line), line
    wanted = 1 if any(row["mark"] == "problem" for row in rows) else 0
    assert result.returncode == wanted


def test_a_good_configuration_has_rows_that_are_all_ok(gateway):
    rows, result = check(gateway)
    assert result.returncode == 0 and result.stderr == ""
    assert {mark for found in rows.values() for mark, _ in found} == {"ok"}
    assert set(rows) == {"listen[0].address", "clients_file", "operations_file", "audit.directory", "credentials.default"}
    assert result.stdout.splitlines()[-1].endswith("psgate.json: good: 1 listeners, 26 operations, 1 clients")


def test_columns_are_aligned(gateway):
    _, result = check(gateway)
    rows = result.stdout.splitlines()[:-1]
    assert len({ROW.match(row).start("place") for row in rows} | {9}) == 1
    assert len({ROW.match(row).start("result") for row in rows}) == 1


# -- listeners ---------------------------------------------------------------------------------------


def test_an_address_in_use_is_a_warning(gateway):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        rows, result = check(gateway, listen=[{"address": address}])
        assert rows["listen[0].address"] == [("warning", f"{address} is in use")] and result.returncode == 0
    assert check(gateway, listen=[{"address": address}])[0]["listen[0].address"] == [("ok", f"{address} is free")]


def test_the_addresses_of_operators_are_tried_too(gateway):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        rows, _ = check(gateway, admin={"address": f"unix:{gateway.folder}/admin.sock", "metrics_address": address})
    assert rows["admin.address"][0][0] == "ok"
    assert rows["admin.metrics_address"] == [("warning", f"{address} is in use")]


def test_an_address_of_another_machine_is_a_warning(gateway):
    rows, _ = check(gateway, listen=[{"address": "192.0.2.1:80", "allow_plaintext": True}])
    assert rows["listen[0].address"][0][0] == "warning"


def test_a_unix_socket_that_is_served_left_over_or_in_the_way(gateway):
    path = gateway.folder / "s"
    listen = [{"address": f"unix:{path}"}]
    assert check(gateway, listen=listen)[0]["listen[0].address"][0][0] == "ok"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert check(gateway, listen=listen)[0]["listen[0].address"] == [("warning", f"unix:{path} is in use")]
    assert "left over" in check(gateway, listen=listen)[0]["listen[0].address"][0][1]
    path.unlink()
    path.write_text("")
    assert check(gateway, listen=listen)[0]["listen[0].address"][0][0] == "problem"
    assert check(gateway, listen=[{"address": "unix:/no/such/folder/s"}])[0]["listen[0].address"][0][0] == "warning"


# -- certificates ------------------------------------------------------------------------------------


def tls(issuer, leaf="good", **members):
    files = {"certificate": str(issuer.folder / f"{leaf}.pem"), "private_key": str(issuer.folder / f"{leaf}.key")}
    return [{"address": "127.0.0.1:0", "tls": {**files, **members}}]


def day(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%d")


@pytest.mark.parametrize(("leaf", "mark", "words"), [
    ("good", "ok", "CN=good, with 0 above it, good until "), ("ending", "warning", "CN=ending expires on "),
    ("expired", "problem", "CN=expired has expired on "), ("early", "problem", "CN=early is not valid before "),
    ("chain", "problem", "CN=expired has expired on ")])
def test_the_time_of_a_certificate_is_looked_at(gateway, issuer, leaf, mark, words):
    rows, _ = check(gateway, listen=tls(issuer, leaf))
    found, result = rows["listen[0].tls.certificate"][0]
    assert found == mark and result.startswith(words)
    assert re.search(r"\d{4}-\d\d-\d\d", result) and len(rows["listen[0].tls.certificate"]) == 1


def test_a_key_that_others_can_read_is_a_warning(gateway, issuer, tmp_path):
    key = write_private(tmp_path / "key", (issuer.folder / "good.key").read_text(), 0o644)
    listen = tls(issuer, private_key=str(key))
    assert check(gateway, listen=listen)[0]["listen[0].tls.private_key"][0][0] == "warning"
    key.chmod(0o600)
    assert check(gateway, listen=listen)[0]["listen[0].tls.private_key"][0][0] == "ok"


def test_a_key_of_another_certificate_does_not_load(gateway, issuer):
    gateway.write_config({**gateway.config, "listen": tls(issuer, private_key=str(issuer.folder / "early.key"))})
    result = gateway.command("check", "--offline", "-c", gateway.config_file)
    assert result.returncode == 78 and "listen[0].tls: " in result.stderr and result.stdout == ""


@pytest.mark.parametrize(("crl", "mark"), [("good", "ok"), ("stale", "problem"), ("early", "problem")])
def test_the_time_of_a_revocation_list_is_looked_at(gateway, issuer, crl, mark):
    rows, _ = check(gateway, listen=tls(issuer, client_auth="required", client_ca=str(issuer.file),
                                        client_crl=str(issuer.folder / f"{crl}.crl")))
    assert rows["listen[0].tls.client_crl"][0][0] == mark
    assert rows["listen[0].tls.client_ca"][0][0] == "ok"


def test_an_authority_that_has_expired_or_is_not_used_is_a_warning(gateway, issuer):
    expired = str(issuer.folder / "expired.pem")
    for mode in ("optional", "none"):
        rows, _ = check(gateway, listen=tls(issuer, client_auth=mode, client_ca=expired))
        assert rows["listen[0].tls.client_ca"][0][0] == "warning"


# -- clients -----------------------------------------------------------------------------------------


def client(name, days=None, number=0):
    entry = {"name": name, "token_sha256": f"{number:064x}"}
    return entry if days is None else {**entry, "expires": day(days) + "T00:00:00Z"}


@pytest.mark.parametrize(("clients", "rows"), [
    ([], [("warning", "names no client: nobody can use the gateway")]),
    ([client("a")], [("ok", "1 client, none expired")]),
    ([client("a", 30), client("b", 30, 1)], [("ok", "2 clients, none expired")]),
    ([client("a", -2)], [("warning", f'the client "a" has expired on {day(-2)}')]),
    ([client("a", -2), client("a", None, 1)], [("ok", "2 clients, none expired")]),
    ([client("a", -2), client("a", -3, 1), client("b", None, 2)], [("warning", f'the client "a" has expired on {day(-2)}')]),
    ([client("a", 10)], [("warning", f'the client "a" expires on {day(10)}, in 9 days')]),
], ids=["none", "for-ever", "in-time", "expired", "renewed", "expired-twice", "soon"])
def test_clients_that_have_ended_or_will_soon_are_named(gateway, clients, rows):
    write_private(gateway.clients_file, json.dumps({"clients": clients}))
    assert check(gateway)[0]["clients_file"] == rows


# -- the audit folder --------------------------------------------------------------------------------


def audit(directory, **members):
    return {"audit": {"directory": str(directory), **members}}


def test_a_folder_that_is_there_or_can_be_made_is_fine(gateway, tmp_path):
    (tmp_path / "there").mkdir()
    assert check(gateway, **audit(tmp_path / "there"))[0]["audit.directory"][0][1].startswith("can be written by ")
    assert check(gateway, **audit(tmp_path / "new"))[0]["audit.directory"][0][1].startswith("can be made by ")
    assert not (tmp_path / "new").exists()


def test_a_file_in_its_place_is_a_problem_and_a_missing_folder_above_a_warning(gateway, tmp_path):
    (tmp_path / "file").touch()
    for path, mark in ((tmp_path / "file", "problem"), (tmp_path / "file" / "b", "problem"), (tmp_path / "a" / "b", "warning")):
        rows, result = check(gateway, **audit(path))
        assert rows["audit.directory"][0][0] == mark and str(path.parent) in result.stderr


def test_a_disk_that_is_read_only_is_a_problem(gateway, tmpfs):  # noqa: F811
    tmpfs.make_read_only()
    try:
        assert "Read-only" in check(gateway, **audit(tmpfs.path))[0]["audit.directory"][0][1]
    finally:
        tmpfs.make_writable()


def test_a_disk_with_less_room_than_one_file_is_a_warning_and_a_full_one_a_problem(gateway, tmpfs):  # noqa: F811
    assert check(gateway, **audit(tmpfs.path, rotate_size="100MiB"))[0]["audit.directory"][0][0] == "warning"
    assert check(gateway, **audit(tmpfs.path, rotate_size="1MiB"))[0]["audit.directory"][0][0] == "ok"
    tmpfs.fill()
    assert check(gateway, **audit(tmpfs.path, rotate_size="1MiB"))[0]["audit.directory"][0][0] == "problem"
    assert [path.name for path in tmpfs.path.iterdir()] == ["filler"]


def test_a_signing_key_is_read(gateway):
    gateway.command("audit", "keygen", gateway.folder)
    rows, _ = check(gateway, audit={"signing_key_file": "audit-signing-key.pem"})
    assert rows["audit.signing_key_file"][0][0] == "ok"


# -- the log's file ----------------------------------------------------------------------------------


def test_a_log_file_that_can_be_written_or_not(gateway, tmp_path):
    (tmp_path / "there.log").write_text("a line\n")
    (tmp_path / "folder").mkdir()
    for path, mark in (("there.log", "ok"), ("new.log", "ok"), ("folder", "problem"), ("there.log/x", "problem"), ("a/b.log", "warning")):
        rows, _ = check(gateway, log={"file": str(tmp_path / path)})
        assert rows["log.file"][0][0] == mark, path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "there.log"]
    assert (tmp_path / "there.log").read_text() == "a line\n"


# -- upstream ----------------------------------------------------------------------------------------


def test_the_next_key_is_tried_too_and_its_refusal_is_a_warning(make_stage):
    stage = make_stage(start=False)
    write_private(stage.gateway.folder / "next-key", "next-key-of-the-test\n")
    credentials = {"default": {"api_key_file": "api-key", "next_api_key_file": "next-key"}}

    def answer(peer, request):
        is_next = request.values("Authorization") == [b"Bearer next-key-of-the-test"]
        peer.send(wire.response(b"HTTP/1.1 401 Unauthorized") if is_next else wire.response(body=b'{"user":{}}'))

    stage.origin.answer = answer
    gateway = stage.gateway
    rows, result = check(gateway, "-c", gateway.config_file, credentials=credentials)
    assert rows["credentials.default"] == [("ok", "accepted")]
    assert rows["credentials.default.next_api_key_file"] == [("warning", "upstream refused the key")]
    assert rows["upstream.url"][0][0] == "ok" and "next-key-of-the-test" not in result.stdout + result.stderr


# -- what people see ---------------------------------------------------------------------------------


def on_terminal(gateway, **options):
    return run_on_terminal(gateway.binary, "check", "--offline", "-c", gateway.config_file, **options)


def test_marks_are_coloured_on_a_terminal_and_said_once(gateway):
    write_private(gateway.clients_file, json.dumps({"clients": []}))
    shown = on_terminal(gateway)
    assert "\x1b[32mok     \x1b[0m  listen[0].address" in shown.terminal
    assert "\x1b[33mwarning\x1b[0m  clients_file" in shown.terminal
    assert shown.terminal.count("names no client") == 1 and shown.returncode == 0


def test_a_pipe_gets_no_colour_and_standard_error_its_lines(gateway):
    write_private(gateway.clients_file, json.dumps({"clients": []}))
    shown = on_terminal(gateway, stdout=False)
    assert "\x1b" not in shown.stdout and "names no client" in shown.stdout
    assert "clients_file: warning: names no client" in shown.terminal
    shown = on_terminal(gateway, stderr=False)
    assert "\x1b[33m" in shown.terminal and "clients_file: warning: names no client" in shown.stderr


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_who_wants_no_colour_gets_none(gateway, environment):
    shown = on_terminal(gateway, environment=environment)
    assert "\x1b" not in shown.terminal and "ok       listen[0].address" in shown.terminal


# -- the cluster ---------------------------------------------------------------------------------------------


@contextmanager
def closing(server):
    try:
        yield server
    finally:
        server.stop()


def check_redis(gateway, url, **members):
    """The row about Redis; everything else of the configuration is as it may be."""
    rows, result = check(gateway, "-c", gateway.config_file, cluster={"redis": url, **members})
    [row] = rows["cluster.redis"]
    return row, result


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path, "--requirepass", "right-password")
    yield redis
    redis.stop()


def test_a_redis_that_takes_us_in_is_good(gateway, redis):
    redis.start()
    write_private(gateway.folder / "password", "right-password\n")
    row, _ = check_redis(gateway, redis.url, password_file="password")
    assert row == ("ok", f"{redis.url} answers")


@pytest.mark.parametrize("password, said", [("wrong-password", "it refuses the password (WRONGPASS)"),
                                            (None, "it refuses us: NOAUTH Authentication required.")])
def test_a_redis_that_refuses_us_is_a_problem(gateway, redis, password, said):
    redis.start()
    members = {}
    if password:
        write_private(gateway.folder / "password", password + "\n")
        members = {"password_file": "password"}
    row, result = check_redis(gateway, redis.url, **members)
    assert row == ("problem", f"Redis is of no use: {said}") and result.returncode == 1
    assert "wrong-password" not in result.stdout + result.stderr


def test_a_redis_that_is_not_there_is_no_fault_of_the_configuration(gateway, redis):
    row, _ = check_redis(gateway, redis.url)
    assert row == ("warning", "not reached: Connection refused")


def test_a_server_that_is_no_redis_is_a_problem(gateway):
    with closing(LyingRedis()) as liar:
        liar.lies = {"SELECT": b"HTTP/1.1 400 Bad Request\r\n\r\n"}
        row, _ = check_redis(gateway, liar.url)
        assert row == ("problem", "Redis is of no use: it does not speak the Redis protocol")


def test_a_redis_with_a_wrong_certificate_is_a_problem(gateway, authority):
    with closing(Origin(authority.server_context("wrong-name"))) as server:
        row, _ = check_redis(gateway, f"rediss://localhost:{server.port}", ca_file=str(authority.ca_file))
        assert row == ("problem", "Redis is of no use: hostname mismatch")


def test_redis_is_not_asked_offline(gateway, redis):
    rows, _ = check(gateway, cluster={"redis": redis.url})
    assert "cluster.redis" not in rows
