#!/usr/bin/env python3
"""A second verifier of the audit trail, which shares nothing with the first but the format.

    tests/audit/verify.py DIR [PUBLIC_KEY.pem]
"""

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

TAIL = re.compile(rb',"event\.sequence":([1-9]\d*),"proxy\.chain_id":"([0-9a-f]{32})"'
                  rb'(?:,"proxy\.trail\.oldest_open":([1-9]\d*))?,"proxy\.prev_hash":"([0-9a-f]{64})"\}\Z')


class Broken(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Broken(what)


def once(pairs):
    need(len(dict(pairs)) == len(pairs), "a key twice")
    return Members(pairs)


class Members(dict):
    def __missing__(self, key):
        raise Broken(f"no {key}")


class Line:
    def __init__(self, raw):
        tail = TAIL.search(raw)
        need(tail, "no tail")
        try:
            self.json = json.loads(raw.decode(), object_pairs_hook=once)
        except ValueError as error:
            raise Broken("no JSON") from error
        self.body, self.sequence, self.chain_id = raw[:tail.start()], int(tail[1]), tail[2]
        self.has_oldest, self.prev, self.hash = tail[3], tail[4].decode(), hashlib.sha256(raw).hexdigest()
        self.phase, self.action = self.json.get("proxy.phase"), self.json.get("event.action")
        self.is_resumed = self.phase == "trail" and self.action == "trail.resumed"


class File:
    def __init__(self, path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        *lines, self.torn = data.split(b"\n")
        self.name, self.lines, self.cut = path.name.removesuffix(".gz"), [Line(line) for line in lines], None
        self.first = self.lines[0].sequence if lines else None
        self.suspect = self.lines[0].json.get("proxy.trail.suspect_file") if lines and self.lines[0].is_resumed else None


def find(files, name):
    """The file of that name, or what logrotate has made of it."""
    renamed = [f for f in files if f.name.startswith((name + ".", name + "-"))]
    return ([f for f in files if f.name == name] + renamed + [None])[0]


def read_files(folder):
    files = [File(p) for p in Path(folder).iterdir() if p.name.startswith("audit") and ".jsonl" in p.name]
    need(files, "no trail")
    for file in files:
        if file.suspect:
            suspect = find(files, file.suspect)
            need(suspect, "the suspect file is gone")
            suspect.cut = min(suspect.cut or file.first, file.first)
    # Between files that begin alike, a suspect comes before the one that names it.
    whole, rest = [f for f in files if f.first], [f for f in files if not f.first]
    whole.sort(key=lambda f: (f.first, f.cut != f.first))
    return whole + rest


def left_after(pending, bodies):
    for body in bodies:
        if pending and body == pending[0]:
            pending = pending[1:]
    return pending


def check_checkpoint(line, before, public_key):
    words = line.json["proxy.checkpoint.statement"].split(" ")
    about = ["psgate-checkpoint", "v1", line.chain_id.decode(), str(line.sequence - 1), before]
    need(words[:5] == about and len(words) == 6, "not about the line before")
    need(re.fullmatch(r"[0-9a-f]{16}", line.json["proxy.checkpoint.key"]), "no key")
    try:
        need(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?Z", words[5]), "no time")
        datetime.fromisoformat(words[5][:19])
        signature = base64.b64decode(line.json["proxy.checkpoint.signature"], validate=True)
    except ValueError as error:
        raise Broken("no time or no signature") from error
    need(len(signature) == 64 and base64.b64encode(signature).decode() == line.json["proxy.checkpoint.signature"], "no signature")
    if public_key:
        with tempfile.TemporaryDirectory() as folder:
            statement, signed = Path(folder, "statement"), Path(folder, "signature")
            statement.write_text(line.json["proxy.checkpoint.statement"])
            signed.write_bytes(signature)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public_key, "-rawin", "-in", statement, "-sigfile", signed]
            need(subprocess.run(command, capture_output=True).returncode == 0, "a bad signature")


def verify(folder, public_key=None, held=()):
    """held: (sequence, hash) pairs. Returns (records, mutations, unfinished) or raises Broken."""
    chain, pending, resumed, open_ids, mutations, torn = [], [], None, set(), 0, False
    for file in read_files(folder):
        superseded = []
        need(not torn or not (file.lines or file.torn), "a torn line that is not the last")
        for number, line in enumerate(file.lines):
            before = (superseded or chain or [None])[-1]
            need(line.sequence == (before.sequence + 1 if before else 1), "a line missing or out of order")
            need(line.prev == (before.hash if before else "0" * 64), "a changed line")
            need(before is None or line.chain_id == before.chain_id, "another chain")
            need(number == 0 or not line.has_oldest, "oldest_open in the midst of a file")
            if file.cut and line.sequence >= file.cut:
                superseded.append(line)
                continue
            if line.is_resumed:
                need(number == 0 and line.json["proxy.trail.last_hash"] == line.prev, "a wrong trail.resumed")
                resumed = (len(chain) + 1, line.json["proxy.trail.repeated"])
            elif line.phase == "intent":
                need(line.json["event.id"] not in open_ids, "a second intent")
                open_ids.add(line.json["event.id"])
                mutations += 1
            elif line.phase == "result":
                need(line.json["event.id"] in open_ids, "no intent")
                open_ids.remove(line.json["event.id"])
            elif line.phase == "checkpoint":
                check_checkpoint(line, line.prev, public_key)
            else:
                need(line.phase in ("refused", "trail"), "no phase")
            chain.append(line)
            if resumed and len(chain) >= sum(resumed):
                need(not left_after(pending, [c.body for c in chain[resumed[0]:sum(resumed)]]), "not repeated")
                pending, resumed = [], None
        if resumed:
            pending = left_after(pending, [c.body for c in chain[resumed[0]:]])
            resumed = (len(chain), sum(resumed) - len(chain))
        bodies = [s.body for s in superseded if s.phase not in ("trail", "checkpoint")]
        pending = pending + left_after(bodies, pending)
        torn = torn or (file.torn and not (file.cut and len(chain) + 1 >= file.cut))
    for sequence, digest in held:
        need(len(chain) >= sequence and chain[sequence - 1].hash == digest, "a held checkpoint is not of this trail")
    return len(chain), mutations, len(open_ids)


if __name__ == "__main__":
    try:
        print("{} records, {} mutations, {} unfinished, chain intact".format(*verify(*sys.argv[1:])))
    except Broken as error:
        sys.exit(f"broken: {error}")
