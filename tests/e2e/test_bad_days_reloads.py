"""A storm of reloads, good and bad, under load: no request fails, and nothing is left behind."""

import json
import random
import threading

from support.gateway import is_sanitized, merged
from support.raw import Client
from support.waiting import wait_until

pytest_plugins = ["support.admin"]

RELOADS = 200
WARM = 40
BAD = [
    lambda config: json.dumps(config)[:-5],
    lambda config: json.dumps(merged(config, {"limits": {"header_timeout": "soon"}})),
    lambda config: json.dumps(merged(config, {"clients_file": "nowhere.json"})),
    lambda config: json.dumps(merged(config, {"credentials": {"default": {"api_key_file": "nowhere"}}})),
    lambda config: json.dumps(merged(config, {"listen": [{"address": "127.0.0.1:1"}, {"address": "256.0.0.1:80"}]})),
]


class Load:
    """Clients that ask again and again, on connections that they keep, until they are stopped."""

    def __init__(self, stage, count):
        self.stage = stage
        self.is_over = False
        self.answers = []
        self.failures = []
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        starts = [(b"GET /v1/plain/a", b""), (b"GET /v1/things/a", b""), (b"POST /v1/things/a", b"{}"),
                  (b"GET /.psgate/whoami", b"")]
        try:
            while not self.is_over:
                with Client(self.stage.gateway.port) as client:
                    for start, body in starts * 5:
                        self.ask(client, start, body)
        except Exception as failure:  # the test's thread must see it
            self.failures.append(failure)

    def ask(self, client, start, body):
        answer = client.ask(self.stage.request(start + b" HTTP/1.1", b"Content-Length: %d" % len(body), body=body))
        self.answers.append(answer.status)
        if answer.status != 200:
            self.failures.append((start, answer.head, answer.body))

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


class Storm:
    """Reloads one after the other; some change what is in force, some must be refused."""

    def __init__(self, stage):
        self.stage = stage
        self.gateway = stage.gateway
        self.config = stage.gateway.config
        self.random = random.Random(1)
        self.made = self.refused = 0

    def blow(self, count):
        for number in range(count):
            draw = self.random.random()
            if draw < 0.3:
                self.reload_in_vain()
            elif draw < 0.4:
                self.burst()
            else:
                self.reload()

    def write(self, text):
        """In one step: a reload may be under way."""
        new = self.gateway.folder / "new.json"
        new.write_text(text)
        new.rename(self.gateway.config_file)

    def write_good(self):
        limits = {"header_timeout": self.random.choice(("20s", "30s"))}
        self.write(json.dumps(merged(self.config, {"limits": limits})))

    def state(self):
        """(how often the configuration was loaded, whether the last attempt succeeded)"""
        metrics = self.stage.metrics()
        return metrics.value("psgate_config_generation"), metrics.value("psgate_config_last_reload_successful") == 1

    def reload(self):
        before, _ = self.state()
        self.write_good()
        self.gateway.hang_up()
        wait_until(lambda: self.state() >= (before + 1, True), "the reload")
        self.made += 1

    def burst(self):
        """Signals that come before the reload is done: some of them may be one."""
        for _ in range(5):
            self.gateway.hang_up()
        self.reload()

    def reload_in_vain(self):
        before, _ = self.state()
        self.write(self.random.choice(BAD)(self.config))
        self.gateway.refused_reload()
        wait_until(lambda: self.state() == (before, False), "the refusal")
        self.write_good()
        self.refused += 1


def count_descriptors(stage):
    """Those of a gateway without a client, and without a connection upstream."""
    stage.origin.stop()
    wait_until(lambda: stage.metrics().value("psgate_connections") == 0
               and stage.metrics().sum("psgate_upstream_connections") == 0, "all connections to end")
    stage.origin.open()
    return stage.gateway.count_descriptors()


def test_a_storm_of_reloads_fails_no_request_and_leaves_nothing_behind(make_admin):
    stage = make_admin(config={"log": {"level": "info", "access": False}})
    assert stage.get(b"/v1/plain/a").status == 200
    storm = Storm(stage)
    load = Load(stage, 4)
    try:
        storm.blow(WARM)
        resident = stage.gateway.resident_kib()
        storm.blow(RELOADS - WARM)
        grown = stage.gateway.resident_kib() - resident
    finally:
        load.stop()
    assert load.failures == [] and len(load.answers) > RELOADS, load.failures[:3]
    assert storm.refused > RELOADS / 10 and storm.made > RELOADS / 2
    assert is_sanitized() or grown < 2048, f"{grown} KiB more after {RELOADS - WARM} reloads"
    before = count_descriptors(stage)
    storm.blow(10)
    assert count_descriptors(stage) == before
