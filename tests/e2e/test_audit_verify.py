"""psgate audit verify and tests/audit/verify.py over one trail, made here, and what can be done to it."""

import base64
import gzip
import hashlib
import importlib.util
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("second", ROOT / "tests/audit/verify.py")
second = importlib.util.module_from_spec(spec)
spec.loader.exec_module(second)

CHAIN = "f0e1d2c3b4a5968778695a4b3c2d1e0f"


class Trail:
    """Writes lines by hand, as the format has them."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.sequence, self.hash, self.file = 0, "0" * 64, None

    def begin(self, name):
        if self.file:
            self.file.close()
        self.file, self.name, self.is_fresh = open(self.folder / name, "wb"), name, True

    def add(self, phase, **members):
        self.sequence += 1
        members = {key.replace("__", "."): value for key, value in members.items()}
        body = json.dumps({"proxy.phase": phase, **members}, separators=(",", ":"), ensure_ascii=False)[:-1]
        oldest = ',"proxy.trail.oldest_open":1' if self.is_fresh else ""
        line = f'{body},"event.sequence":{self.sequence},"proxy.chain_id":"{CHAIN}"{oldest},"proxy.prev_hash":"{self.hash}"}}'.encode()
        self.hash, self.is_fresh = hashlib.sha256(line).hexdigest(), False
        self.file.write(line + b"\n")
        return line

    def mutation(self, phase, number):
        return self.add(phase, event__id=f"{number:032x}", event__action="updateMember", user__name='Jörg "ci"')

    def checkpoint(self):
        statement = f"psgate-checkpoint v1 {CHAIN} {self.sequence} {self.hash} 2026-11-23T17:04:05.123Z"
        (self.folder / "statement").write_text(statement)
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-inkey", self.key, "-rawin", "-in", self.folder / "statement"],
            check=True, capture_output=True).stdout
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        return self.add("checkpoint", **{
            "event.action": "checkpoint", "proxy.checkpoint.statement": statement,
            "proxy.checkpoint.signature": base64.b64encode(signature).decode(),
            "proxy.checkpoint.key": hashlib.sha256(der[-32:]).hexdigest()[:16]})


@pytest.fixture(scope="module")
def made(binary, tmp_path_factory):
    """A folder with the trail, the public key, and the last checkpoint's line."""
    keys, folder = tmp_path_factory.mktemp("keys"), tmp_path_factory.mktemp("trail")
    subprocess.run([binary, "audit", "keygen", keys], check=True, capture_output=True)
    trail = Trail(folder, keys / "audit-signing-key.pem")
    trail.begin("audit-000000000001.jsonl")
    for number in range(6):
        trail.mutation("intent", number)
        trail.mutation("result", number)
    trail.checkpoint()
    trail.begin("audit-000000000014.jsonl")
    trail.mutation("intent", 6)
    trail.add("refused", event__outcome="failure")
    end = trail.sequence, trail.hash
    for number in (7, 8):
        trail.mutation("intent", number)
    trail.checkpoint()
    trail.mutation("intent", 9)
    trail.file.write(b'{"proxy.phase":"int')
    suspect, (trail.sequence, trail.hash) = trail.name, end
    trail.begin("audit.jsonl")
    trail.add("trail", event__action="trail.resumed", proxy__trail__suspect_file=suspect,
              proxy__trail__last_hash=trail.hash, proxy__trail__repeated=3)
    for number in (7, 8, 9):
        trail.mutation("intent", number)
    for number in (9, 6, 7):
        trail.mutation("result", number)
    held = trail.checkpoint()
    trail.file.close()
    (folder / "statement").unlink()
    return folder, keys / "audit-signing-key.pub.pem", held


def run(binary, folder, *options):
    return subprocess.run([binary, "audit", "verify", folder, *options], capture_output=True, text=True, timeout=60)


def say(folder, **options):
    """What the second verifier says, as the first would."""
    try:
        return 0, "{} records, {} mutations, {} unfinished, chain intact".format(*second.verify(folder, **options))
    except second.Broken:
        return 1, ""


def must_agree(binary, folder):
    first = run(binary, folder)
    said = first.returncode, first.stdout.split("\n")[0]
    assert said == say(folder), first.stderr
    if first.returncode == 1:
        assert re.match(r"psgate audit: \S+(:\d+)?: .", first.stderr)
    return first.returncode == 0


def test_an_intact_trail(binary, made, tmp_path):
    folder, public_key, held = made
    (tmp_path / "log").write_bytes(b"Nov 23 a line of a log\n" + held + b"\n")
    found = run(binary, folder, "--public-key", public_key, "--checkpoint", tmp_path / "log")
    assert (found.returncode, found.stderr) == (0, "")
    first, anchored, kept = found.stdout.splitlines()
    assert first == "23 records, 10 mutations, 1 unfinished, chain intact"
    assert anchored.startswith("records 1 to 22 are signed: 2 checkpoints verified")
    assert kept.startswith("records 1 to 22 are those of the held checkpoint")
    assert say(folder, public_key=public_key) == (0, first)


def test_the_verdicts_agree_on_changed_bytes(binary, made, tmp_path):
    source, _, _ = made
    numbers, broken = random.Random(20261123), 0
    folder = tmp_path / "trail"
    shutil.copytree(source, folder)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        for _ in range(150):
            at = numbers.randrange(len(data))
            path.write_bytes(data[:at] + bytes([data[at] ^ numbers.randrange(1, 256)]) + data[at + 1:])
            broken += not must_agree(binary, folder)
        path.write_bytes(data)
    assert broken > 300
    assert must_agree(binary, folder)


def test_the_verdicts_agree_on_lines_done_away_with(binary, made, tmp_path):
    source, _, _ = made
    folder = tmp_path / "trail"
    shutil.copytree(source, folder)
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        for i in range(len(lines)):
            for changed in (lines[:i] + lines[i + 1:], lines[:i + 1] + lines[i:], lines[:i],
                            lines[:i] + [lines[i][:len(lines[i]) // 2]],
                            lines[:i] + lines[i:i + 2][::-1] + lines[i + 2:]):
                path.write_bytes(b"".join(changed))
                must_agree(binary, folder)
        path.unlink()
        must_agree(binary, folder)
        path.write_bytes(data)


def test_compressed_files(binary, made, tmp_path):
    source, _, _ = made
    folder = tmp_path / "trail"
    shutil.copytree(source, folder)
    for path in sorted(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        assert run(binary, folder).returncode == 0  # beside its original
        path.unlink()
        assert must_agree(binary, folder)


def test_a_cut_end_is_found_by_a_held_checkpoint(binary, made, tmp_path):
    source, _, held = made
    (tmp_path / "held").write_bytes(held)
    folder = tmp_path / "trail"
    shutil.copytree(source, folder)
    lines = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "audit.jsonl").write_bytes(b"".join(lines[:-2]))
    assert must_agree(binary, folder)
    found = run(binary, folder, "--checkpoint", tmp_path / "held")
    assert found.returncode == 1
    assert "audit.jsonl:6: " in found.stderr and "cut off" in found.stderr


def test_another_key_is_said(binary, made, tmp_path):
    folder, public_key, _ = made
    subprocess.run([binary, "audit", "keygen", tmp_path], check=True, capture_output=True)
    other = tmp_path / "audit-signing-key.pub.pem"
    assert run(binary, folder, "--public-key", other).returncode == 1
    assert say(folder, public_key=other)[0] == 1
    assert run(binary, folder, "--public-key", other, "--public-key", public_key).returncode == 0


@pytest.mark.parametrize("arguments", [[], ["other"], ["verify"], ["verify", "--what", "a"],
                                       ["verify", "a", "--public-key"], ["keygen"], ["keygen", "-x", "a"]])
def test_misuse_is_64(binary, arguments):
    found = subprocess.run([binary, "audit", *arguments], capture_output=True, text=True)
    assert found.returncode == 64
    assert found.stderr.startswith("psgate audit") and found.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["keygen", "-h"]])
def test_help_is_on_standard_output(binary, arguments):
    found = subprocess.run([binary, "audit", *arguments], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("Usage: psgate audit")


def test_a_folder_or_file_that_is_not_there_is_said(binary, made, tmp_path):
    folder, _, _ = made
    for arguments in ([tmp_path / "gone"], [tmp_path], [folder, "--checkpoint", tmp_path / "gone"],
                      [folder, "--public-key", tmp_path / "gone"], [folder, "--checkpoint", "/dev/null"]):
        found = run(binary, *arguments)
        assert found.returncode == 1 and found.stderr.startswith("psgate audit: ") and found.stdout == ""
