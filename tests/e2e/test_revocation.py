"""A changed clients file holds within a second, without a signal, and nothing else changes."""

import json
import os
import re
import threading
import time

import pytest
from support import wire
from support.gateway import is_sanitized, write_private
from support.origin import by_target, holding
from support.stage import assert_gateway_error
from support.waiting import wait_until

GET = b"GET /v1/a HTTP/1.1"
PROMISED = 1.0 if not is_sanitized() else 3.0  # sanitizers on a busy machine are no measure


def token_command(gateway, verb, name, *options):
    result = gateway.command("token", verb, "--clients", gateway.clients_file, "--name", name, *options)
    assert result.returncode == 0, result.stderr
    return result


def replace(path, text):
    """As `token` does it: a new file, renamed over the old one."""
    os.replace(write_private(path.with_name("new-clients"), text), path)


def holds_within(stage, token, status, since):
    """Every worker answers with that status a second after the change at the latest."""
    wait_until(lambda: stage.get(b"/v1/a", token=token).status == status, f"{status}")
    assert time.monotonic() - since < PROMISED
    time.sleep(max(0.0, since + PROMISED - time.monotonic()))
    assert {stage.get(b"/v1/a", token=token).status for _ in range(12)} == {status}


def test_a_new_token_and_a_revoked_one_hold_within_a_second(make_stage):
    stage = make_stage()
    token = stage.gateway.add_client("late")
    holds_within(stage, token, 200, time.monotonic())
    token_command(stage.gateway, "revoke", "late")
    holds_within(stage, token, 401, time.monotonic())
    assert stage.get(b"/v1/a").status == 200


def test_one_of_two_tokens_of_a_name_may_go(make_stage):
    stage = make_stage()
    first, second = stage.token.decode(), stage.gateway.add_client("tester")
    stage.gateway.tokens["tester"] = second
    holds_within(stage, second, 200, time.monotonic())
    assert stage.get(b"/v1/a", token=first).status == 200
    write_private(stage.gateway.clients_file, json.dumps({"clients": stage.gateway.read_clients()[1:]}))
    holds_within(stage, first, 401, time.monotonic())
    assert stage.get(b"/v1/a", token=second).status == 200


def in_place(stage, text):
    stage.gateway.clients_file.write_text(text)


def by_rename(stage, text):
    replace(stage.gateway.clients_file, text)


def gone_for_a_while(stage, text):
    stage.gateway.clients_file.unlink()
    wait_until(lambda: "clients.json" in stage.gateway.stderr(), "a word about it")
    write_private(stage.gateway.clients_file, text)


def in_two_pieces(stage, text):
    with open(stage.gateway.clients_file, "w") as file:
        for piece in (text[:20], text[20:]):
            file.write(piece)
            file.flush()
            time.sleep(0.2)


@pytest.mark.parametrize("change", [in_place, by_rename, gone_for_a_while, in_two_pieces])
def test_however_the_file_is_changed(make_stage, change):
    stage = make_stage()
    clients = stage.gateway.read_clients()
    clients[0]["deny"] = ["other"]
    change(stage, json.dumps({"clients": clients}))
    holds_within(stage, None, 403, time.monotonic())


def test_a_swapped_link_as_kubernetes_does_it(make_stage):
    stage = make_stage(start=False)
    folder, clients = stage.gateway.folder, stage.gateway.read_clients()
    for name, deny in (("..1", []), ("..2", ["other"])):
        (folder / name).mkdir()
        write_private(folder / name / "clients.json", json.dumps({"clients": [{**clients[0], "deny": deny}]}))
    stage.gateway.clients_file.unlink()
    (folder / "..data").symlink_to("..1")
    stage.gateway.clients_file.symlink_to("..data/clients.json")
    stage.start()
    assert stage.get(b"/v1/a").status == 200
    (folder / "..tmp").symlink_to("..2")
    os.replace(folder / "..tmp", folder / "..data")
    holds_within(stage, None, 403, time.monotonic())


BAD = {"broken": "{ broken", "empty": "", "no-clients": "{}",
       "unknown-member": '{"clients": [{"name": "x", "bogus": 1}]}'}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_said_once_and_the_clients_stay(make_stage, text):
    stage = make_stage()
    good = stage.gateway.clients_file.read_text()
    before = len(stage.gateway.stderr())
    replace(stage.gateway.clients_file, text)
    wait_until(lambda: "stay in force" in stage.gateway.stderr()[before:], "the refusal")
    time.sleep(1.5)  # looks that find the same file
    said = stage.gateway.stderr()[before:]
    assert said.count("stay in force") == 1 and re.search(r"clients\.json:\d+:\d+: ", said), said
    assert stage.get(b"/v1/a").status == 200
    replace(stage.gateway.clients_file, text)
    wait_until(lambda: stage.gateway.stderr()[before:].count("stay in force") == 2, "the second refusal")
    clients = json.loads(good)
    clients["clients"][0]["deny"] = ["other"]
    replace(stage.gateway.clients_file, json.dumps(clients))
    holds_within(stage, None, 403, time.monotonic())


def test_a_file_that_others_may_read_is_refused_until_it_is_private(make_stage):
    stage = make_stage()
    stage.gateway.clients_file.chmod(0o644)
    wait_until(lambda: "stay in force" in stage.gateway.stderr(), "the refusal")
    assert stage.get(b"/v1/a").status == 200
    stage.gateway.clients_file.chmod(0o600)
    wait_until(lambda: "clients reloaded" in stage.gateway.stderr(), "the reload")
    assert stage.get(b"/v1/a").status == 200


def test_nothing_but_the_clients_is_read_again(make_stage):
    stage = make_stage()
    stage.gateway.write_config({**stage.gateway.config, "bogus": 1})
    stage.gateway.key_file.unlink()
    token = stage.gateway.add_client("late")
    holds_within(stage, token, 200, time.monotonic())
    assert stage.origin.requests[-1].values("Authorization") == [stage.fill(b"Bearer @KEY@")]


def test_connections_stay_and_obey_at_the_next_request(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    with stage.connect() as staying, stage.connect() as leaving:
        assert staying.ask(stage.request(GET)).status == 200
        assert leaving.ask(stage.request(GET, token=token)).status == 200
        token_command(stage.gateway, "revoke", "leaving")
        time.sleep(PROMISED)
        assert_gateway_error(leaving.ask(stage.request(GET, token=token)), 401)
        assert staying.ask(stage.request(GET)).status == 200
        assert leaving.ask(stage.request(GET)).status == 200  # the connection is nobody's


def test_a_request_whose_head_comes_slowly_is_judged_when_it_is_whole(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    request = stage.request(GET, token=token)
    with stage.connect() as client:
        client.send(request[:-2])
        token_command(stage.gateway, "revoke", "leaving")
        time.sleep(PROMISED)
        client.send(request[-2:])
        assert_gateway_error(client.read_response(), 401)


def test_a_request_in_flight_ends_as_it_began(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    leave = threading.Event()
    stage.origin.answer = by_target({b"/v1/slow": holding(leave)})
    with stage.connect() as client:
        client.send(stage.request(b"GET /v1/slow HTTP/1.1", token=token))
        stage.origin.wait_request()
        token_command(stage.gateway, "revoke", "leaving")
        holds_within(stage, token, 401, time.monotonic())
        leave.set()
        assert client.read_response().body == b"ok"
        assert_gateway_error(client.ask(stage.request(GET, token=token)), 401)


def test_what_is_stored_stays_stored_and_is_not_for_who_was_revoked(make_stage):
    stage = make_stage(start=False)
    token = stage.gateway.add_client("leaving")
    stage.start()
    stage.origin.answer = wire.response(body=b'{"user":{}}')
    session = b"/v1/auth/session"
    assert stage.get(session, token=token).status == 200
    wait_until(lambda: b"hit" in stage.get(session).value("Cache-Status"), "a hit")
    asked = len(stage.origin.requests)
    token_command(stage.gateway, "revoke", "leaving")
    wait_until(lambda: stage.get(session, token=token).status == 401, "401")
    time.sleep(PROMISED)
    for _ in range(6):
        assert b"hit" in stage.get(session).value("Cache-Status")
        assert_gateway_error(stage.get(session, token=token), 401)
    assert len(stage.origin.requests) == asked


def test_a_hangup_after_a_change_of_the_clients_is_fine_and_another_file_is_followed(make_stage):
    stage = make_stage()
    token = stage.gateway.add_client("late")
    holds_within(stage, token, 200, time.monotonic())
    moved = write_private(stage.gateway.folder / "moved.json", stage.gateway.clients_file.read_text())
    stage.gateway.write_config({**stage.gateway.config, "clients_file": "moved.json"})
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
    replace(moved, json.dumps({"clients": stage.gateway.read_clients()[:1]}))
    holds_within(stage, token, 401, time.monotonic())


class Asker:
    """One client that asks on its own connections until it is told to stop: (begun, status)."""

    def __init__(self, stage, token):
        self.stage, self.token = stage, token
        self.answers = []
        self.done = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.done.is_set():
                with self.stage.connect() as client:
                    for _ in range(50):
                        begun = time.monotonic()
                        answer = client.ask(self.stage.request(GET, token=self.token))
                        self.answers.append((begun, answer.status))
                        if self.done.is_set():
                            break
        except BaseException as failure:
            self.failure = failure

    def stop(self):
        self.done.set()
        self.thread.join()
        assert self.failure is None, repr(self.failure)
        return self.answers


def test_revocation_under_load_allows_nothing_later_and_fails_nobody_else(make_stage):
    stage = make_stage(start=False)
    leaving = {f"leaving-{number}": stage.gateway.add_client(f"leaving-{number}") for number in range(3)}
    staying = [stage.gateway.add_client(f"staying-{number}") for number in range(5)]
    stage.start()
    others = [Asker(stage, token) for token in staying]
    goners = {name: Asker(stage, token) for name, token in leaving.items()}
    revoked = {}
    for name, asker in goners.items():
        wait_until(lambda: len(asker.answers) > 20 or asker.failure, "the load to run")
        token_command(stage.gateway, "revoke", name)
        revoked[name] = time.monotonic()
        time.sleep(PROMISED + 0.3)
    for name, asker in goners.items():
        answers = asker.stop()
        assert {status for begun, status in answers if begun > revoked[name] + PROMISED} == {401}
        assert {status for begun, status in answers} == {200, 401}
    for asker in others:
        answers = asker.stop()
        assert {status for _, status in answers} == {200} and len(answers) > 20
