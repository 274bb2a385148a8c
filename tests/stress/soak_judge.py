"""The soak's end: whether clients, /metrics, log, trail and sandbox say the same."""

import collections
import json
import statistics

from support.audit import VERDICT, read_records
from support.gateway import is_sanitized

CHANGES = ("createTeamSecret", "updateTeamSecret", "deleteTeamSecret", "updateTeamMember")


class Judge:
    def __init__(self, soak):
        self.soak = soak
        self.faults = []
        self.requests = self.records = self.mutations = self.unknown = 0
        self.early = self.late = 0  # resident KiB
        self.results = []

    def same(self, what, one, other):
        if one != other:
            difference = {key: (one.get(key, 0), other.get(key, 0)) for key in sorted({*one, *other}, key=str)
                          if one.get(key, 0) != other.get(key, 0)} if isinstance(one, dict) else (one, other)
            self.faults.append(f"{what}: {difference}")

    def answers(self):
        """By operation and status, without those who left and what has no operation."""
        return {key: count for key, count in self.soak.account.answers.items() if key[0] not in ("refused", "bad")}

    def judge_metrics(self, metrics):
        counted = collections.Counter()
        for pairs, value in metrics.of("psgate_requests_total").items():
            labels = dict(pairs)
            if labels["operation"] != "other" and labels["status"] != "401":
                counted[labels["operation"], int(labels["status"])] += int(value)
        self.same("clients and /metrics", self.answers(), dict(counted))
        refused = int(sum(value for pairs, value in metrics.of("psgate_requests_total").items() if dict(pairs)["status"] == "401"))
        self.same("refused, clients and /metrics", self.soak.account.refused, refused)
        self.requests = int(metrics.sum("psgate_requests_total"))
        if metrics.value("psgate_log_dropped_total"):
            self.faults.append(f"{metrics.value('psgate_log_dropped_total'):.0f} log lines were dropped")

    def judge_log(self, folder):
        counted = collections.Counter()
        total = 0
        for path in folder.glob("log*"):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if entry["message"] != "request":
                    continue
                total += 1
                operation, status = entry.get("event.action", "other"), entry["http.response.status_code"]
                if operation != "other" and status != 401:
                    counted[operation, status] += 1
        self.same("clients and log", self.answers(), dict(counted))
        self.same("/metrics and log", self.requests, total)

    def judge_trail(self, folder):
        verdict = self.soak.gateway.command("audit", "verify", folder)
        match = VERDICT.match(verdict.stdout)
        if verdict.returncode != 0 or not match:
            self.faults.append(f"the trail: {verdict.stdout}{verdict.stderr}")
            return
        records = read_records(folder)
        self.records, self.mutations = int(match[1]), int(match[2])
        self.same("unfinished", int(match[3]), 0)
        phases = collections.Counter(record["proxy.phase"] for record in records)
        refused = sum(record.get("proxy.suppressed", 1) for record in records if record["proxy.phase"] == "refused")
        self.same("refused, clients and trail", self.soak.account.refused, refused)
        answers = {key: count for key, count in self.answers().items() if key[0] in CHANGES}
        self.same("changes, clients and intents", sum(answers.values()), phases["intent"])
        self.judge_results(records, answers)

    def judge_results(self, records, answers):
        results = [record for record in records if record["proxy.phase"] == "result"]
        told = collections.Counter((record["event.action"], record.get("http.response.status_code")) for record in results)
        own = self.soak.account.own
        wanted = collections.Counter()
        for key, count in answers.items():
            wanted[key] += count - own[key]
            wanted[key[0], None] += own[key]
        self.same("clients and results", {key: count for key, count in wanted.items() if count}, dict(told))
        self.unknown = sum(record["event.outcome"] == "unknown" for record in results)
        self.results = results

    def judge_sandbox(self, present):
        """Each secret that is there was made, and each that was made and not deleted is there."""
        state = {}  # name -> True, False or None: it may be either
        for record in self.results:
            name, outcome = record.get("proxy.resource.name"), record["event.outcome"]
            if record["event.action"] == "createTeamSecret" and (outcome == "success" or outcome == "unknown"):
                state[name] = True if outcome == "success" else None
            elif record["event.action"] == "deleteTeamSecret" and state.get(name, False) is not False:
                state[name] = {"success": False, "unknown": None}.get(outcome, state[name])
        for name in {*present, *state}:
            wanted = state.get(name, False)
            if wanted is not None and wanted != (name in present):
                self.faults.append(f"secret {name}: there: {name in present}, by the trail: {wanted}")

    def judge_memory(self, descriptors):
        self.same("descriptors before and after", self.soak.descriptors, descriptors)
        resident = self.soak.resident
        fifth = len(resident) // 5
        if fifth == 0:
            return
        self.early, self.late = (statistics.median(part) for part in (resident[fifth : 2 * fifth], resident[-fifth:]))
        if not is_sanitized() and self.late > self.early * 1.1 + 2048:
            self.faults.append(f"memory has grown from {self.early:.0f} to {self.late:.0f} KiB")
