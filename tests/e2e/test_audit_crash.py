"""The audit trail over the end of the process, wanted or not, and over a change of processes."""

import base64
import json
import random
import shutil
import subprocess
import threading
import time

import pytest
from support import wire
from support.audit import SUCCESS, VERDICT, File, assert_unavailable, read_records, second
from support.gateway import Gateway, merged, write_private
from support.raw import Client
from support.waiting import DEADLINE, wait_until
from support.wire import Ended
from test_audit_verify import Trail

pytest_plugins = ["support.audit"]


@pytest.fixture
def make_pair(make_audited, tmp_path):
    """Makes gateways that share one trail."""
    return lambda **options: make_audited(trail=tmp_path / "audit", **options)


# -- the end of the process --------------------------------------------------------------------------


def test_a_torn_last_line_is_set_aside_and_said_at_the_next_start(make_audited):
    stage = make_audited()
    stage.assert_created("before")
    stage.kill()
    torn = b'{"@timestamp":"2026-11-23T17:04:05.1'
    with open(stage.trail / "audit.jsonl", "ab") as file:
        file.write(torn)
    verdict = stage.gateway.command("audit", "verify", stage.trail)
    assert verdict.returncode == 0 and "2 records, 1 mutations, 0 unfinished, chain intact" in verdict.stdout
    assert "the last line is incomplete" in verdict.stdout + verdict.stderr
    stage.restart()
    stage.assert_created("afterwards")
    aside = stage.trail / "audit-000000000003.torn"
    assert aside.read_bytes() == torn
    repaired = read_records(stage.trail)[2]
    assert (repaired["proxy.phase"], repaired["event.action"]) == ("trail", "trail.repaired")
    assert repaired["proxy.trail.set_aside"] == aside.name and repaired["proxy.trail.bytes"] == len(torn)
    log = [line for line in stage.gateway.stderr().splitlines() if "torn" in line]
    assert len(log) == 1 and aside.name in log[0] and f"{len(torn)} bytes" in log[0]
    assert stage.verify() == (5, 2, 0)


def test_a_torn_result_leaves_its_change_unknown(make_audited):
    stage = make_audited()
    stage.assert_created("before")
    stage.assert_created("torn")
    stage.kill()
    with open(stage.trail / "audit.jsonl", "r+b") as file:
        file.truncate(file.seek(0, 2) - 20)
    stage.restart()
    stage.assert_created("afterwards")
    changes = stage.changes()
    assert changes["torn"].end[0] == "unknown"
    assert changes["before"].end == changes["afterwards"].end == SUCCESS
    assert stage.verify()[1:] == (3, 0)


def test_a_torn_line_that_is_alone_in_its_file_is_set_aside(make_audited):
    stage = make_audited()
    stage.assert_created("before")
    stage.rotate()
    stage.kill()
    (stage.trail / "audit.jsonl").write_bytes(b'{"torn')
    stage.restart()
    stage.assert_created("afterwards")
    assert [path.read_bytes() for path in stage.trail.glob("*.torn")] == [b'{"torn']
    assert stage.verify() == (5, 2, 0)


@pytest.mark.parametrize("packer", [None, "gzip", "zstd"])
def test_an_open_intent_is_closed_as_unknown_at_the_next_start(make_audited, packer):
    stage = make_audited()
    if packer and shutil.which(packer) is None:
        pytest.skip(f"{packer} is not installed")
    stage.assert_created("before")
    with stage.under_way("open"):
        if packer:  # the intent is in an earlier file, which has been compressed
            stage.rotate()
            stage.assert_created("between")
            stage.rotate()
            for file in stage.files()[:-1]:
                subprocess.run([packer, "-q", stage.trail / file.name], check=True)
            for rest in stage.trail.glob("audit-*.jsonl"):
                rest.unlink()  # zstd keeps it
        stage.kill()
        assert stage.verify()[2] == 1
    stage.restart()
    stage.assert_created("afterwards")
    change = stage.changes()["open"]
    assert change.end[0] == "unknown" and change.end[1] and change.end[2] is None
    same = ("event.id", "user.name", "source.ip", "event.action", "proxy.resource.name", "organization.id", "proxy.route")
    assert {key: change.result.get(key) for key in same} == {key: change.intent.get(key) for key in same}
    assert "1 change had no result" in stage.gateway.stderr()
    counts = stage.verify()
    assert counts[2] == 0
    stage.gateway.stop()
    stage.restart()
    assert stage.verify() == counts  # closed once


def test_a_crash_after_a_crash_loses_nothing(make_audited):
    stage = make_audited()
    for number in range(4):
        with stage.under_way(f"open-{number}"):
            stage.kill()
        stage.restart()
    stage.assert_created("afterwards")
    changes = stage.changes()
    assert {changes[f"open-{number}"].end[0] for number in range(4)} == {"unknown"}
    assert stage.verify()[1:] == (5, 0)


# -- a crash while lines are repeated ----------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 2, 3], ids=lambda kept: f"{kept}-lines-of-3-kept")
@pytest.mark.parametrize("is_torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("rotate_size", ["100MiB", "1KiB"])
def test_a_crash_while_lines_are_repeated_leaves_a_trail_that_goes_on(make_audited, keys, kept, is_torn, rotate_size):
    stage = make_audited(start=False, audit={"rotate_size": rotate_size, "signing_key_file": private(keys)})
    stage.trail.mkdir()
    trail = Trail(stage.trail, None)
    trail.begin("audit-000000000001.jsonl")
    trail.mutation("intent", 1)
    trail.mutation("result", 1)
    sequence, digest = trail.sequence, trail.hash  # nobody was told of what follows
    trail.mutation("intent", 2)
    trail.mutation("intent", 3)
    trail.sequence, trail.hash = sequence, digest
    trail.begin("audit.jsonl")
    trail.add("trail", event__action="trail.resumed", proxy__trail__suspect_file="audit-000000000001.jsonl",
              proxy__trail__last_hash=digest, proxy__trail__repeated=2)
    trail.mutation("intent", 2)
    trail.mutation("intent", 3)
    trail.file.close()
    current = stage.trail / "audit.jsonl"
    lines = current.read_bytes().splitlines(keepends=True)
    current.write_bytes(b"".join(lines[:kept]) + (b'{"proxy.phase":"in' if is_torn else b""))
    stage.restart()
    stage.assert_created("afterwards")
    stage.rotate()
    stage.assert_created("after-rotation")
    assert stage.verify()[1:] == (5, 0)  # mutations, none unfinished
    stage.gateway.stop()
    stage.restart()
    stage.assert_created("at-last")
    assert stage.verify()[1:] == (6, 0)


# -- a stop that is wanted ---------------------------------------------------------------------------


def test_sigterm_under_load_leaves_each_answered_change_with_its_result(make_audited):
    stage = make_audited()
    answered, wrong = [], []

    def load(worker):
        try:
            with stage.connect() as client:
                for number in range(100000):
                    name = f"w{worker}-{number}"
                    answer = client.ask(stage.creation(name), "POST")
                    (answered if answer.status == 201 else wrong).append(name)
        except Ended as ended:
            if ended.partial:
                wrong.append(ended.partial)
        except OSError:
            pass

    threads = [threading.Thread(target=load, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 60, "the load to run")
    stage.gateway.process.terminate()
    for thread in threads:
        thread.join()
    assert stage.gateway.process.wait(DEADLINE) == 0
    assert wrong == []
    changes = stage.changes()
    assert {changes[name].end for name in answered} == {SUCCESS}
    assert set(stage.arrived) <= set(changes)
    assert stage.verify()[2] == 0


def test_a_change_that_outlasts_the_drain_is_recorded_as_unknown(make_audited):
    stage = make_audited(config={"limits": {"drain_timeout": "300ms"}})
    with stage.under_way("outlasting"):
        stage.gateway.process.terminate()
        assert stage.gateway.process.wait(DEADLINE) == 0
    assert stage.changes()["outlasting"].end[0] == "unknown"
    assert stage.verify() == (2, 1, 0)


# -- checkpoints -------------------------------------------------------------------------------------


@pytest.fixture
def keys(make_stage, tmp_path):
    """The folder of a signing key pair."""
    folder = tmp_path / "keys"
    folder.mkdir()
    result = make_stage(start=False).gateway.command("audit", "keygen", folder)
    assert result.returncode == 0, result.stderr
    return folder


def private(keys):
    return str(keys / "audit-signing-key.pem")


def public(keys):
    return str(keys / "audit-signing-key.pub.pem")


def openssl_accepts(record, keys, tmp_path):
    """Whether openssl accepts a checkpoint, from the trail or the log, with the public key."""
    (tmp_path / "statement").write_text(record["proxy.checkpoint.statement"])
    (tmp_path / "signature").write_bytes(base64.b64decode(record["proxy.checkpoint.signature"], validate=True))
    result = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public(keys), "-rawin", "-in",
                             tmp_path / "statement", "-sigfile", tmp_path / "signature"], capture_output=True)
    return result.returncode == 0


def logged_checkpoints(stage):
    records = [json.loads(line) for line in stage.gateway.stderr().splitlines() if "proxy.checkpoint.statement" in line]
    return [record["proxy.checkpoint.statement"] for record in records], records


def test_checkpoints_are_signed_on_rotation_and_stop_and_are_in_the_log(make_audited, keys, tmp_path):
    stage = make_audited(audit={"signing_key_file": private(keys)})
    stage.assert_created("one")
    stage.rotate()
    stage.assert_created("two")
    stage.gateway.stop()
    files = stage.files()
    ends = [file.records[-1] for file in files]
    assert [end["proxy.phase"] for end in ends] == ["checkpoint", "checkpoint"]
    assert [len(file.records) for file in files] == [3, 3]
    for file, end in zip(files, ends):
        before = file.records[-2]
        words = end["proxy.checkpoint.statement"].split()
        assert words[:4] == ["psgate-checkpoint", "v1", before["proxy.chain_id"], str(before["event.sequence"])]
        assert words[4] == end["proxy.prev_hash"]
        assert openssl_accepts(end, keys, tmp_path)
    statements, logged = logged_checkpoints(stage)
    assert statements == [end["proxy.checkpoint.statement"] for end in ends]
    assert all(openssl_accepts(record, keys, tmp_path) for record in logged)
    assert not openssl_accepts({**ends[0], "proxy.checkpoint.statement": ends[1]["proxy.checkpoint.statement"]}, keys, tmp_path)
    verdict = stage.gateway.command("audit", "verify", stage.trail, "--public-key", public(keys))
    assert verdict.returncode == 0 and "records 1 to 5 are signed: 2 checkpoints verified" in verdict.stdout
    assert stage.verify("--public-key", public(keys)) == (6, 2, 0)


def test_a_cut_tail_is_found_with_a_checkpoint_that_was_kept(make_audited, keys, tmp_path):
    stage = make_audited(audit={"signing_key_file": private(keys)})
    stage.assert_created("one")
    stage.rotate()
    stage.assert_created("two")
    stage.assert_created("three")
    stage.gateway.stop()
    kept = tmp_path / "kept.log"
    shutil.copy(stage.gateway.folder / "stderr", kept)
    both = ("--public-key", public(keys), "--checkpoint", kept)
    assert stage.verify(*both) == (8, 3, 0)
    current = stage.trail / "audit.jsonl"
    lines = current.read_bytes().splitlines(keepends=True)
    current.write_bytes(b"".join(lines[:2]))  # the checkpoint and the last change
    assert stage.verify("--public-key", public(keys)) == (5, 2, 0)  # the chain alone cannot tell
    assert "the end of the trail was cut off" in stage.broken(*both)
    current.unlink()
    assert "the end of the trail was cut off" in stage.broken(*both)


def test_a_restart_goes_on_signing_the_same_chain(make_audited, keys):
    stage = make_audited(audit={"signing_key_file": private(keys)})
    for name in ("one", "two", "three"):
        stage.assert_created(name)
        stage.gateway.stop()
        stage.restart()
    stage.gateway.stop()
    phases = [record["proxy.phase"] for record in read_records(stage.trail)]
    assert phases == ["intent", "result", "checkpoint"] * 3  # and none where nothing has happened
    assert stage.verify("--public-key", public(keys)) == (9, 3, 0)


# -- reload ------------------------------------------------------------------------------------------


def reload_audit(stage, **members):
    """Tries other settings; what is said about them."""
    config = stage.gateway.config
    stage.gateway.write_config(merged(config, {"audit": members}))
    return stage.gateway.refused_reload()


def test_a_signing_key_that_cannot_be_read_is_refused_at_reload(make_audited, keys, tmp_path):
    stage = make_audited(audit={"signing_key_file": private(keys)})
    stage.assert_created("before")
    loose = write_private(tmp_path / "loose.pem", (keys / "audit-signing-key.pem").read_text(), 0o644)
    garbage = write_private(tmp_path / "garbage.pem", "not a key\n")
    for file in (tmp_path / "missing.pem", loose, garbage):
        said = reload_audit(stage, signing_key_file=str(file))
        assert file.name in said and "refused" in said, said
    stage.assert_created("afterwards")
    stage.gateway.stop()
    assert stage.verify("--public-key", public(keys)) == (5, 2, 0)


def test_another_folder_is_refused_at_reload(make_audited, tmp_path):
    stage = make_audited()
    stage.assert_created("before")
    said = reload_audit(stage, directory=str(tmp_path / "other"))
    assert "audit.directory" in said and "next start" in said and str(stage.trail) in said, said
    stage.assert_created("afterwards")
    assert not (tmp_path / "other").exists()
    assert stage.verify() == (4, 2, 0)


def test_a_gateway_does_not_start_without_its_signing_key(make_audited, tmp_path):
    stage = make_audited(start=False, audit={"signing_key_file": str(tmp_path / "missing.pem")})
    result = stage.gateway.serve_in_vain()
    assert result.returncode in (1, 78) and "missing.pem" in result.stderr


def test_a_new_signing_key_and_a_new_size_are_in_force_after_a_reload(make_audited, keys):
    stage = make_audited()
    stage.assert_created("unsigned")
    shutil.copy(private(keys), stage.gateway.folder / "signing.pem")
    stage.gateway.write_config(merged(stage.gateway.config, {"audit": {"signing_key_file": "signing.pem"}}))
    stage.gateway.hang_up()
    wait_until(lambda: "configuration reloaded" in stage.gateway.stderr(), "the reload")
    stage.rotate()
    stage.assert_created("signed")
    stage.gateway.stop()
    assert [file.records[-1]["proxy.phase"] for file in stage.files()][-1] == "checkpoint"
    assert stage.verify("--public-key", public(keys))[1:] == (2, 0)


# -- two processes on one trail ----------------------------------------------------------------------


def test_a_successor_serves_reads_at_once_and_refuses_changes_after_audit_timeout(make_pair):
    first = make_pair()
    first.assert_created("of-the-first")
    next_one = make_pair(start=False, audit={"timeout": "500ms"})
    next_one.start()
    next_one.assert_goes_on()
    begun = time.monotonic()
    answer = next_one.create("too-early")
    assert time.monotonic() - begun > 0.4
    assert_unavailable(answer)
    assert "audit.timeout" in json.loads(answer.body)["message"] and "too-early" not in next_one.arrived
    first.assert_created("also-of-the-first")
    first.gateway.stop()
    wait_until(lambda: next_one.create("of-the-second").status == 201, "the lock")
    changes = next_one.changes()
    assert {changes[name].end for name in ("of-the-first", "also-of-the-first", "of-the-second")} == {SUCCESS}
    assert "too-early" not in changes or changes["too-early"].end[1] == "not_forwarded"
    assert len({record["proxy.chain_id"] for record in read_records(next_one.trail)}) == 1
    assert next_one.verify()[2] == 0


@pytest.mark.parametrize("leave", ["stop", "kill"])
def test_a_change_at_a_successor_waits_until_the_first_has_gone(make_pair, leave):
    first = make_pair()
    next_one = make_pair(start=False, audit={"timeout": "20s"})
    next_one.start()
    with first.under_way("of-the-first"):
        with next_one.send_creation("of-the-second") as client:
            assert not client.is_readable(0.3)
            assert next_one.arrived == []
            if leave == "kill":
                first.kill()
            else:
                first.held["of-the-first"].set()
                first.gateway.stop()
            assert client.read_response("POST").status == 201
    changes = next_one.changes()
    assert changes["of-the-first"].end[0] == ("unknown" if leave == "kill" else "success")
    assert changes["of-the-second"].end == SUCCESS
    assert next_one.verify()[1:] == (2, 0)
    next_one.gateway.stop()
    if leave == "kill":
        first.restart()


# -- kill -9 under load ------------------------------------------------------------------------------

WORKERS = 4
ROUNDS = 20


class Sandbox:
    """`psgate sandbox` in a process of its own, which outlives the gateway's."""

    def __init__(self, gateway):
        out = gateway.folder / "sandbox-out"
        with open(out, "w") as stdout:
            self.process = subprocess.Popen([gateway.binary, "sandbox", "--listen", "127.0.0.1:0", "--api-key-file",
                                             str(gateway.key_file)], stdout=stdout, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.process.poll() is not None or "\n" in out.read_text(), "the sandbox to listen")
        self.port = int(out.read_text().strip().rpartition(":")[2])
        self.key = gateway.key.encode()
        self.team = self.ask(b"/v1/auth/session")["team"]["id"].encode()

    def ask(self, target):
        with Client(self.port) as client:
            answer = client.ask(wire.head(b"GET %b HTTP/1.1" % target, b"Host: sandbox.test",
                                          b"Authorization: Bearer " + self.key))
        assert answer.status == 200, answer.start
        return json.loads(answer.body)

    def secrets(self):
        """The names of the secrets that there are."""
        return {secret["name"] for secret in self.ask(b"/v1/teams/%b/secrets" % self.team)}

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0


class Load:
    """Clients that create and delete secrets until the gateway is gone; what they were told."""

    def __init__(self, gateway, team, turn, seed):
        self.told = []  # (action, name, status)
        self.sent = []  # (action, name)
        self.wrong = []
        self.port, self.token, self.team = gateway.port, gateway.tokens["tester"].encode(), team
        self.threads = [threading.Thread(target=self._run, args=(f"r{turn}-w{worker}", random.Random(f"{seed} {worker}")))
                        for worker in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def _run(self, prefix, chance):
        try:
            with Client(self.port) as client:
                for number in range(100000):
                    name = f"{prefix}-{number}"
                    if self._change(client, "createTeamSecret", name) == 201 and chance.random() < 0.5:
                        self._change(client, "deleteTeamSecret", name)
        except (Ended, OSError):
            pass  # the gateway was killed
        except Exception as failure:
            self.wrong.append(failure)

    def _change(self, client, action, name):
        path, body = b"/v1/teams/%b/secrets" % self.team, b""
        if action == "createTeamSecret":
            method, body = b"POST", json.dumps({"name": name, "value": "unspeakable"}).encode()
        else:
            method, path = b"DELETE", path + b"/" + name.encode()
        self.sent.append((action, name))
        answer = client.ask(wire.head(b"%b %b HTTP/1.1" % (method, path), b"Host: gateway.test",
                                      b"Authorization: Bearer " + self.token, b"Content-Type: application/json",
                                      b"Content-Length: %d" % len(body)) + body, method.decode())
        self.told.append((action, name, answer.status))
        return answer.status

    def join(self):
        for thread in self.threads:
            thread.join()


class TrailReader:
    """The whole trail again and again; closed files are read once."""

    def __init__(self, folder):
        self.folder = folder
        self.closed = {}

    def changes(self):
        """{(action, name): [intent, result or None]}, and each event.id once."""
        files = []
        for path in self.folder.glob("audit*.jsonl"):
            if path.name not in self.closed:
                file = File(path)
                if path.name != "audit.jsonl":
                    self.closed[path.name] = file
                elif file.records:
                    files.append(file)
        files += self.closed.values()
        found, ids = {}, {}
        for file in sorted(files, key=lambda file: file.first):
            for record in file.records:
                if record["proxy.phase"] == "intent":
                    key = record["event.action"], record["proxy.resource.name"]
                    assert key not in found, f"{key} is there twice"
                    found[key] = ids[record["event.id"]] = [record, None]
                elif record["proxy.phase"] == "result":
                    entry = ids[record["event.id"]]
                    assert entry[1] is None, "a second result"
                    entry[1] = record
        return found


@pytest.fixture
def crashing(binary, tmp_path):
    """A gateway in front of a sandbox, small files and signed checkpoints."""
    gateway = Gateway(binary, tmp_path, "http://127.0.0.1:1", {"audit": {"directory": "audit", "rotate_size": "64KiB"},
                                                               "log": {"level": "info", "access": False}})
    assert gateway.command("audit", "keygen", tmp_path).returncode == 0
    gateway.add_client("tester")
    sandbox = Sandbox(gateway)
    gateway.write_config(merged(gateway.config, {"upstream": {"url": f"http://127.0.0.1:{sandbox.port}"},
                                                 "audit": {"signing_key_file": "audit-signing-key.pem"}}))
    yield gateway, sandbox
    try:
        if gateway.is_running():
            gateway.stop()
    finally:
        sandbox.stop()


@pytest.mark.parametrize("batch", [0, *(pytest.param(more, marks=pytest.mark.long) for more in range(1, 10))])
def test_after_kill_9_at_any_moment_the_trail_holds_all_that_happened_and_was_said(crashing, batch):
    gateway, sandbox = crashing
    seed = random.randrange(1 << 32)
    print(f"batch {batch}, seed {seed}")
    chance = random.Random(seed)
    trail = TrailReader(gateway.folder / "audit")
    told, known = [], set()  # all answers, and all secrets ever seen at the sandbox
    for turn in range(ROUNDS):
        gateway.start()
        load = Load(gateway, sandbox.team, turn, f"{seed} {turn}")
        pause = 0.02 + chance.random() * 0.4
        if chance.random() < 0.2:
            gateway.process.send_signal(10)  # a rotation may be under way too
        time.sleep(pause)
        gateway.process.kill()
        gateway.process.wait()
        load.join()
        gateway.check_output()
        assert load.wrong == [], f"round {turn} of seed {seed}"
        told += load.told
        check_round(gateway, sandbox, trail, told, known, f"round {turn} of seed {seed}")
    gateway.start()
    wait_until(lambda: verified(gateway)[2] == 0, "the last intents to be closed")
    gateway.stop()
    check_round(gateway, sandbox, trail, told, known, f"the end of seed {seed}")
    assert len(told) > ROUNDS  # it was under load
    assert second.verify(gateway.folder / "audit") == verified(gateway, "--public-key", "audit-signing-key.pub.pem")
    changes = trail.changes()
    assert all(result is not None for _, result in changes.values())
    print(f"{len(changes)} changes, {len(told)} answers")


def verified(gateway, *options):
    verdict = gateway.command("audit", "verify", gateway.folder / "audit", *options)
    assert verdict.returncode == 0, verdict.stderr
    return tuple(int(number) for number in VERDICT.match(verdict.stdout).groups())


def check_round(gateway, sandbox, trail, told, known, where):
    """What the sandbox has done has its intent, what was answered its result."""
    verified(gateway)
    present = sandbox.secrets()
    changes = trail.changes()
    made = {name for name in present if name.startswith("r")}
    known |= made
    for name in made:
        assert ("createTeamSecret", name) in changes, f"{name} was made without an intent, {where}"
    for name in known - made:
        assert ("deleteTeamSecret", name) in changes, f"{name} was deleted without an intent, {where}"
    for action, name, status in told:
        if status == 201:
            known.add(name)
        assert (action, name) in changes, f"{action} of {name} was answered {status} without an intent, {where}"
        result = changes[action, name][1]
        assert result is not None, f"{action} of {name} was answered {status} without a result, {where}"
        assert result["http.response.status_code"] == status, f"{action} of {name}, {where}"
        assert result["event.outcome"] == "success"
