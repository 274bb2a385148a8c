"""A trail as the gateway writes it, made line by line: DESIGN, "Audit"."""

import gzip
import hashlib
import itertools
import json
import os
import shutil
import subprocess
from datetime import datetime, timedelta, timezone

CURRENT = "audit.jsonl"
EPOCH = datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc)
NO_HASH = "0" * 64


def stamp(time):
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


class Trail:
    """Appends chained lines; rotates, compresses, tears and resumes as the gateway would."""

    def __init__(self, folder, chain_id="c" * 32, start=EPOCH):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.chain_id = chain_id
        self.sequence = 0
        self.hash = NO_HASH
        self.time = start
        self.is_begun = False  # the current file has a line
        self.first = 1         # the sequence of the current file's first line
        self.open = {}         # event.id -> the intent's sequence
        self.bodies = {}       # event.id -> the intent's body
        self.mutations = 0
        self.current.touch()

    @property
    def current(self):
        return self.folder / CURRENT

    # -- lines -----------------------------------------------------------------------------

    def make_line(self, body, sequence, previous):
        """The body with its tail, without the newline."""
        oldest = min(self.open.values(), default=sequence)
        tail = f'"event.sequence":{sequence},"proxy.chain_id":"{self.chain_id}"'
        if not self.is_begun:
            tail += f',"proxy.trail.oldest_open":{oldest}'
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")) if isinstance(body, dict) else body
        return (text[:-1] + "," + tail + f',"proxy.prev_hash":"{previous}"}}').encode()

    def append(self, body):
        """Writes one line; returns its sequence."""
        line = self.make_line(body, self.sequence + 1, self.hash)
        self.write(line + b"\n")
        self.sequence += 1
        if not self.is_begun:
            self.is_begun, self.first = True, self.sequence
        self.hash = hashlib.sha256(line).hexdigest()
        members = json.loads(line)
        if members["proxy.phase"] == "intent":
            self.open[members["event.id"]] = self.sequence
        elif members["proxy.phase"] == "result":
            self.open.pop(members["event.id"], None)
        return self.sequence

    def write(self, data):
        """Appends bytes to the current file as they are."""
        with open(self.current, "ab", buffering=0) as file:
            file.write(data)

    def tick(self, seconds=1.0):
        self.time += timedelta(seconds=seconds)

    def common(self, phase, event_id, members):
        self.tick()
        return {"@timestamp": stamp(self.time), "ecs.version": "8.11.0", "event.id": event_id,
                "event.kind": "event", "event.category": ["iam"], "event.type": ["creation"],
                "event.action": "createTeamSecret", "user.name": "ci", "client.auth": "token",
                "source.ip": "10.0.0.1", "organization.id": "tABC", "http.request.method": "POST",
                "proxy.phase": phase, "proxy.route": "/v1/teams/{id}/secrets",
                "proxy.resource.type": "secret", "proxy.resource.name": "DB_PASSWORD",
                "proxy.credential": "default", "proxy.config_generation": 1} | members

    @staticmethod
    def without_none(body):
        return {key: value for key, value in body.items() if value is not None}

    def intent(self, **members):
        """Writes an intent; returns its event.id. Members are those of dotted(); None leaves one out."""
        self.mutations += 1
        body = self.without_none(self.common("intent", f"{self.mutations:032x}", dotted(members)))
        self.bodies[body["event.id"]] = body
        self.append(body)
        return body["event.id"]

    def result(self, event_id, outcome="success", status=201, **members):
        self.tick(0.25)
        body = self.bodies[event_id] | {
            "@timestamp": stamp(self.time), "proxy.phase": "result", "event.outcome": outcome,
            "event.duration": 250000000, "http.response.status_code": status}
        return self.append(self.without_none(body | dotted(members)))

    def mutation(self, outcome="success", status=201, reason=None, **members):
        """An intent and its result; returns the event.id."""
        event_id = self.intent(**members)
        self.result(event_id, outcome, status, event_reason=reason)
        return event_id

    def refused(self, status=403, reason="not_allowed", **members):
        self.mutations += 1
        event_id = f"{self.mutations:032x}"
        body = self.common("refused", event_id, {
            "event.type": ["denied"], "event.outcome": "failure", "event.reason": reason,
            "http.response.status_code": status} | dotted(members))
        self.append(self.without_none(body))
        return event_id

    def checkpoint(self):
        """A checkpoint whose signature nobody made: for those who do not verify."""
        statement = f"psgate-checkpoint v1 {self.chain_id} {self.sequence} {self.hash} {stamp(self.time)}"
        return self.append({"@timestamp": stamp(self.time), "event.action": "checkpoint",
                            "proxy.phase": "checkpoint", "proxy.checkpoint.statement": statement,
                            "proxy.checkpoint.signature": "A" * 86 + "==", "proxy.checkpoint.key": "0" * 16})

    # -- files -----------------------------------------------------------------------------

    def rotate(self):
        """Closes the current file under its name and begins a new one; returns the closed one."""
        assert self.is_begun, "an empty file is not rotated"
        closed = self.folder / f"audit-{self.first:012d}.jsonl"
        for again in itertools.count(1):  # the name of a file that failed before it is taken
            if not list(self.folder.glob(closed.name + "*")):
                break
            closed = self.folder / f"audit-{self.first:012d}.{again}.jsonl"
        self.current.rename(closed)
        self.current.touch()
        self.is_begun = False
        return closed

    @staticmethod
    def compress(path, kind="gz", keep=False):
        """As logrotate does: NAME.gz or NAME.zst in NAME's place."""
        target = path.with_name(f"{path.name}.{kind}")
        if kind == "gz":
            with open(path, "rb") as plain, gzip.open(target, "wb") as packed:
                shutil.copyfileobj(plain, packed)
        else:
            subprocess.run(["zstd", "-q", str(path), "-o", str(target)], check=True)
        if not keep:
            path.unlink()
        return target

    def acknowledge(self):
        """What has been written so far is durable: resume() goes back to here."""
        self.acknowledged = (self.sequence, self.hash, self.current.stat().st_size, dict(self.open))

    def resume(self, torn=b""):
        """
        A write failed after the last acknowledged line: sets the file aside with what it
        holds (and torn bytes), begins a new one with trail.resumed, and repeats the lines.
        """
        sequence, last_hash, size, was_open = self.acknowledged
        self.write(torn)
        superseded = self.current.read_bytes()[size:].splitlines(keepends=True)
        bodies = [line.decode().rpartition(',"event.sequence":')[0] + "}"
                  for line in superseded if line.endswith(b"\n")]
        suspect = self.rotate()
        self.sequence, self.hash, self.open = sequence, last_hash, was_open
        self.append({"@timestamp": stamp(self.time), "event.action": "trail.resumed", "proxy.phase": "trail",
                     "proxy.trail.suspect_file": suspect.name, "proxy.trail.last_hash": last_hash,
                     "proxy.trail.repeated": len(bodies)})
        for body in bodies:
            self.append(body)
        return suspect

    def delete(self):
        os.unlink(self.current)
        self.current.touch()
        self.is_begun = False


def dotted(members):
    """Keyword arguments as keys of the trail: user is user.name."""
    known = {"time": "@timestamp", "action": "event.action", "user": "user.name", "resource": "proxy.resource.name",
             "team": "organization.id", "source": "source.ip", "target": "user.target.id",
             "path": "url.path",
             "event_reason": "event.reason", "recorded": "proxy.recorded.name",
             "suppressed": "proxy.suppressed", "invalidated": "proxy.invalidated"}
    return {known[name]: value for name, value in members.items()}
