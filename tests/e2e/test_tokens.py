"""`psgate token`, the files with secrets, and what a reload changes."""

import datetime
import hashlib
import json
import re
import stat
import threading

import pytest
from support.gateway import write_private
from support.origin import by_target, holding
from support.stage import assert_gateway_error
from support.waiting import wait_until

TOKEN = re.compile(r"psgate_[A-Za-z0-9_-]{43}_[A-Za-z0-9_-]{6}\n\Z")


@pytest.fixture
def idle(make_stage):
    """A gateway that is not started: its files and its commands."""
    return make_stage(start=False).gateway


def create(gateway, name, *options):
    return gateway.command("token", "create", "--clients", gateway.clients_file, "--name", name, *options)


def revoke(gateway, name):
    return gateway.command("token", "revoke", "--clients", gateway.clients_file, "--name", name)


def entry(gateway, name):
    return next(client for client in gateway.read_clients() if client["name"] == name)


# -- token create ------------------------------------------------------------------------------


def test_create_prints_the_token_alone(idle):
    result = create(idle, "ci")
    assert result.returncode == 0 and TOKEN.match(result.stdout), result


def test_only_the_hash_of_a_token_is_stored(idle):
    token = create(idle, "ci").stdout.strip()
    assert entry(idle, "ci")["token_sha256"].lower() == hashlib.sha256(token.encode()).hexdigest()
    for path in idle.folder.iterdir():
        assert token not in path.read_text(errors="replace"), path


def test_a_new_clients_file_is_private(idle):
    assert stat.S_IMODE(idle.clients_file.stat().st_mode) == 0o600
    idle.clients_file.unlink()
    assert create(idle, "first").returncode == 0
    assert stat.S_IMODE(idle.clients_file.stat().st_mode) == 0o600


def test_tokens_differ_and_earlier_clients_stay(idle):
    names = [f"client-{number}" for number in range(20)]
    assert len({create(idle, name).stdout for name in names}) == 20
    assert [client["name"] for client in idle.read_clients()] == ["tester", *names]


def test_the_clients_file_is_replaced_and_nothing_is_left_beside_it(idle):
    before, names = idle.clients_file.stat().st_ino, {path.name for path in idle.folder.iterdir()}
    assert create(idle, "ci").returncode == 0
    assert idle.clients_file.stat().st_ino != before
    assert {path.name for path in idle.folder.iterdir()} == names


def test_a_second_token_of_a_name_overlaps_the_first(idle):
    first = [entry for entry in idle.read_clients() if entry["name"] == "tester"]
    assert create(idle, "tester").returncode == 0
    both = [entry for entry in idle.read_clients() if entry["name"] == "tester"]
    assert both[:-1] == first and both[-1]["token_sha256"] != first[0]["token_sha256"]


def test_the_options_of_create_are_stored(idle):
    options = "--allow getSession,listTeam* --team t1 --team t2 --credential default --admin --expires 90d"
    assert create(idle, "ci", *options.split()).returncode == 0
    made = entry(idle, "ci")
    assert (made["allow"], made["teams"]) == (["getSession", "listTeam*"], ["t1", "t2"])
    assert (made["credential"], made["admin"]) == ("default", True)
    expires = datetime.datetime.fromisoformat(made["expires"].replace("Z", "+00:00"))
    left = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=89) < left <= datetime.timedelta(days=90, minutes=1)


@pytest.mark.parametrize("arguments",
                         [("create",), ("create", "--name", "x"), ("create", "--clients", "c.json"),
                          ("create", "--clients", "c.json", "--name", "x", "--bogus"), ("bogus",), (),
                          ("create", "--clients", "c.json", "--name", "x", "--expires", "soon"),
                          ("revoke", "--clients", "c.json"), ("list",)])
def test_a_wrong_command_line_is_a_usage_error_and_changes_nothing(idle, arguments):
    before = {path.name for path in idle.folder.iterdir()}
    result = idle.command("token", *arguments)
    assert (result.returncode, result.stdout) == (64, "") and result.stderr
    assert {path.name for path in idle.folder.iterdir()} == before


def test_a_broken_clients_file_is_not_overwritten(idle):
    write_private(idle.clients_file, "{ broken")
    assert create(idle, "ci").returncode in (1, 78)
    assert idle.clients_file.read_text() == "{ broken"


# -- token list, token revoke ------------------------------------------------------------------


def test_list_names_the_clients_and_tells_no_secret(idle):
    token = create(idle, "ci", "--allow", "getSession").stdout.strip()
    result = idle.command("token", "list", "--clients", idle.clients_file)
    assert result.returncode == 0
    assert re.search(r"\btester\b", result.stdout) and re.search(r"\bci\b", result.stdout)
    assert token not in result.stdout and entry(idle, "ci")["token_sha256"] not in result.stdout


LISTED = {
    "plain": {}, "wide-name-" + "x" * 40: {"allow": ["getSession", "listTeam*"], "deny": ["*Secret"], "teams": ["t1", "t2"]},
    "gone": {"expires": "2020-01-01T00:00:00Z"}, "lasting": {"expires": "2999-01-01T00:00:00Z", "admin": True},
    "nothing": {"allow": [], "teams": []}, "b\u00fc\x1b[31m": {"credential": "default"},
}


def listed(gateway, *options):
    for name, members in LISTED.items():
        gateway.add_client(name, **members)
    result = gateway.command("token", "list", "--clients", gateway.clients_file, *options)
    assert result.returncode == 0, result.stderr
    for made in gateway.read_clients():
        assert made["token_sha256"] not in result.stdout
    return result.stdout


def test_list_is_an_aligned_table_of_what_holds(idle):
    table, _, note = listed(idle).partition("\n\n")
    head, *rows = table.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", head)]
    cells = {}
    for row in rows:
        assert row.isascii() and row.isprintable()
        assert all(start == 0 or row[start - 1] == " " != row[start] for start in starts), row
        parts = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None])]
        cells[parts[0]] = dict(zip(head.split(), parts))
    assert len(cells) == 1 + len(LISTED)
    assert cells["plain"] | {"CREATED": ""} == {
        "NAME": "plain", "EXPIRES": "never", "CREDENTIAL": "default", "TEAMS": "* (default)", "ALLOW": "* (default)",
        "DENY": "-", "ADMIN": "no", "CREATED": ""}
    wide = cells["wide-name-" + "x" * 40]
    assert (wide["ALLOW"], wide["DENY"], wide["TEAMS"]) == ("getSession,listTeam*", "*Secret", "t1,t2")
    assert cells["gone"]["EXPIRES"] == "2020-01-01T00:00:00Z (expired)"
    assert (cells["lasting"]["EXPIRES"], cells["lasting"]["ADMIN"]) == ("2999-01-01T00:00:00Z", "yes")
    assert (cells["nothing"]["ALLOW"], cells["nothing"]["TEAMS"]) == ("nothing", "none")
    for operation in ("manageApiTokens", "manageApiKeys", "manageTeamApiKeys", "logIn"):  # what * does not cover
        assert re.search(rf"\b{operation}\b", note)


def test_list_is_json_where_that_is_asked_for(idle):
    entries = {entry["name"]: entry for entry in json.loads(listed(idle, "--json"))}
    assert set(entries) == {"tester", *LISTED}
    assert entries["plain"] | {"created": ""} == {
        "name": "plain", "created": "", "expires": None, "expired": False, "credential": "default", "allow": ["*"],
        "allow_is_default": True, "deny": [], "teams": ["*"], "admin": False}
    assert entries["gone"]["expired"] and not entries["lasting"]["expired"]
    assert entries["nothing"]["allow"] == [] and not entries["nothing"]["allow_is_default"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_list_of_a_name_shows_that_one(idle, options):
    create(idle, "ci")
    shown = idle.command("token", "list", "--clients", idle.clients_file, "--name", "ci", *options).stdout
    assert "ci" in shown and "tester" not in shown


def test_revoke_removes_one_client_and_keeps_the_others(idle):
    create(idle, "ci")
    result = revoke(idle, "ci")
    assert result.returncode == 0, result.stderr
    assert [client["name"] for client in idle.read_clients()] == ["tester"]


def test_revoking_an_unknown_name_fails_and_changes_nothing(idle):
    before = idle.clients_file.read_text()
    result = revoke(idle, "nobody")
    assert result.returncode == 1 and "nobody" in result.stderr
    assert idle.clients_file.read_text() == before


# -- the files that hold secrets -------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o660, 0o602, 0o777], ids=oct)
@pytest.mark.parametrize("name", ["api-key", "clients.json"])
def test_a_file_of_secrets_that_others_may_read_or_write_is_refused(idle, name, mode):
    (idle.folder / name).chmod(mode)
    for result in (idle.serve_in_vain(), idle.command("check", "-c", idle.config_file)):
        assert result.returncode == 78 and name in result.stdout + result.stderr


@pytest.mark.parametrize("mode", [0o600, 0o400], ids=oct)
def test_a_private_file_of_secrets_is_accepted(make_stage, mode):
    stage = make_stage(start=False)
    for name in ("api-key", "clients.json"):
        (stage.gateway.folder / name).chmod(mode)
    assert stage.start().get(b"/v1/a").status == 200


@pytest.mark.parametrize("content", ["", "\n", "two words\n", "two\nlines\n", "tab\tbed\n", "nul\0\n"])
def test_a_key_file_without_one_sound_key_is_refused(idle, content):
    write_private(idle.key_file, content)
    result = idle.serve_in_vain()
    assert result.returncode == 78 and "api-key" in result.stderr


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_line_end_of_a_key_file_is_no_part_of_the_key(make_stage, ending):
    stage = make_stage(start=False)
    write_private(stage.gateway.key_file, stage.gateway.key + ending)
    stage.start().get(b"/v1/a")
    assert stage.origin.requests[0].values("Authorization") == [stage.fill(b"Bearer @KEY@")]


def test_a_missing_key_file_or_clients_file_is_refused(idle):
    idle.key_file.unlink()
    assert idle.serve_in_vain().returncode == 78
    write_private(idle.key_file, idle.key)
    idle.clients_file.unlink()
    assert idle.serve_in_vain().returncode == 78


# -- reload ----------------------------------------------------------------------------------------


def status_of(stage, token):
    return stage.get(b"/v1/a", token=token).status


def wait_status(stage, token, status):
    """Waits until new connections see the reload; every worker must, so several in a row do."""
    wait_until(lambda: [status_of(stage, token) for _ in range(6)] == [status] * 6, f"{status} after the reload")


def test_a_new_token_is_known_after_a_hangup(make_stage):
    stage = make_stage()
    token = stage.gateway.add_client("late")
    stage.gateway.hang_up()
    wait_status(stage, token, 200)


def test_a_revoked_token_is_refused_after_a_hangup_and_no_connection_is_dropped(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    staying, leaving = stage.connect(), stage.connect()
    assert staying.ask(stage.request(b"GET /v1/a HTTP/1.1")).status == 200
    assert leaving.ask(stage.request(b"GET /v1/a HTTP/1.1", token=token)).status == 200
    assert revoke(stage.gateway, "leaving").returncode == 0
    stage.gateway.hang_up()
    wait_status(stage, token, 401)
    assert staying.ask(stage.request(b"GET /v1/b HTTP/1.1")).status == 200
    wait_until(lambda: leaving.ask(stage.request(b"GET /v1/b HTTP/1.1", token=token)).status == 401,
               "401 on the old connection")
    staying.close(), leaving.close()


def test_a_request_in_flight_outlives_a_reload(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/slow HTTP/1.1", token=token))
        stage.origin.wait_request()
        revoke(stage.gateway, "leaving")
        stage.gateway.hang_up()
        wait_status(stage, token, 401)
        leave.set()
        assert client.read_response().body == b"ok"


def test_a_changed_policy_holds_after_a_hangup(make_stage):
    stage = make_stage()
    stage.gateway.change_client("tester", deny=["other"])
    stage.gateway.hang_up()
    wait_status(stage, None, 403)


def test_a_new_key_is_used_after_a_hangup(make_stage):
    stage = make_stage()
    stage.get(b"/v1/a")
    new = "new" + stage.gateway.key[::-1]
    stage.gateway.secrets.append(new)
    write_private(stage.gateway.key_file, new)
    stage.gateway.hang_up()

    def uses_new_key():
        stage.get(b"/v1/a")
        return stage.origin.requests[-1].values("Authorization") == [b"Bearer " + new.encode()]

    wait_until(uses_new_key, "the new key upstream")


BROKEN = {
    "not-json": lambda gateway: write_private(gateway.clients_file, "{ broken"),
    "clients-missing": lambda gateway: gateway.clients_file.unlink(),
    "clients-open-to-all": lambda gateway: gateway.clients_file.chmod(0o644),
    "client-of-unknown-shape": lambda gateway: gateway.change_client("tester", bogus=1),
    "key-missing": lambda gateway: gateway.key_file.unlink(),
    "key-open-to-all": lambda gateway: gateway.key_file.chmod(0o644),
    "configuration-broken": lambda gateway: gateway.config_file.write_text("{"),
    "configuration-with-unknown-member": lambda gateway: gateway.write_config({**gateway.config, "bogus": 1}),
    "upstream-bad": lambda gateway: gateway.write_config({**gateway.config, "upstream": {"url": "ftp://x"}}),
}


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN.keys())
def test_a_reload_that_fails_is_logged_and_changes_nothing(make_stage, break_it):
    stage = make_stage()
    good = {**stage.gateway.config["upstream"], "encoded_slashes": "forward"}
    stage.gateway.write_config({**stage.gateway.config, "upstream": good})
    break_it(stage.gateway)
    stage.gateway.refused_reload()
    for _ in range(6):
        assert stage.get(b"/v1/a").status == 200
        assert_gateway_error(stage.get(b"/v1/a%2Fb"), 400)


def test_a_reload_after_a_failed_one_succeeds(make_stage):
    stage = make_stage()
    good = stage.gateway.clients_file.read_text()
    write_private(stage.gateway.clients_file, "{ broken")
    stage.gateway.refused_reload()
    clients = json.loads(good)
    clients["clients"][0]["deny"] = ["other"]
    write_private(stage.gateway.clients_file, json.dumps(clients))
    stage.gateway.hang_up()
    wait_status(stage, None, 403)


def test_reloads_under_load_drop_no_request(make_stage):
    stage = make_stage()
    done, failures, counts = threading.Event(), [], []

    def load():
        with stage.connect() as client:
            count = 0
            while not done.is_set():
                answer = client.ask(stage.request(b"GET /v1/a HTTP/1.1"))
                count += 1
                if answer.status != 200:
                    failures.append(answer.start)
            counts.append(count)

    threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            token = stage.gateway.add_client(f"late-{number}")
            stage.gateway.hang_up()
            wait_status(stage, token, 200)
    finally:
        done.set()
    for thread in threads:
        thread.join()
    assert failures == [] and len(counts) == 4 and min(counts) > 0
