#!/usr/bin/env python3
"""Mixed load with faults for a while; at the end four accounts of it must agree exactly.

Clients read, change and are refused, through the gateway and a relay, at the sandbox. Meanwhile
the relay cuts, refuses and stalls; the gateway reloads (good files and bad ones), purges, and
rotates its log, its trail and its key. At the end:

* each request that was answered is counted once by /metrics and has one line in the log, with the
  status that the client saw;
* each change has one intent and one result, which say what the client was told, and each refusal
  is recorded or counted by a summary; the chain is intact;
* the sandbox has just those secrets that the trail says, the unknown ends aside;
* descriptors are as many as before, and memory does not grow.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from support.admin import Door, unix  # noqa: E402
from support.gateway import Gateway, merged, write_private  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from soak_judge import Judge  # noqa: E402
from soak_load import Account, Caller, Relay  # noqa: E402

RESPONSE_TIMEOUT = 0.5
CONFIG = {"upstream": {"response_timeout": f"{RESPONSE_TIMEOUT * 1000:.0f}ms", "connect_timeout": "1s"},
          "cache": {"unknown_hold": "300ms", "stale_after": "50ms"},
          "audit": {"rotate_size": "4MiB"}, "log": {"level": "info", "file": "log"}}
now = time.monotonic


class Soak:
    def __init__(self, options, gateway, sandbox_port):
        self.seed = options.seed
        self.gateway = gateway
        self.pause = options.pause
        self.callers = options.callers
        self.account = Account()
        self.random = random.Random(f"{options.seed} faults")
        self.relay = Relay(sandbox_port, random.Random(f"{options.seed} relay"))
        self.door = Door(gateway.folder / "admin.sock")
        self.resident = []  # KiB, each second
        self.faults = collections.Counter()
        self.reloads = 0
        self.logs = 0

    async def run(self, seconds):
        await self.warm_up()
        self.end = now() + seconds
        watch = asyncio.ensure_future(self.watch_memory())
        faults = asyncio.ensure_future(self.make_faults())
        await asyncio.gather(*(Caller(self, number).run() for number in range(self.callers)))
        await faults
        await watch
        await self.wait(lambda: self.metrics().value("psgate_requests_in_flight") == 0, "all requests to end")

    async def warm_up(self):
        """So that all that is made once is there: then the descriptors are counted."""
        self.end = now() + 1
        await asyncio.gather(*(Caller(self, f"w{number}").run() for number in range(self.callers)))
        self.descriptors = await self.count_descriptors()

    async def wait(self, condition, what):
        await asyncio.to_thread(wait_until, condition, what)

    def metrics(self):
        return self.door.metrics()

    def config_state(self):
        """(how often the configuration was loaded, whether the last attempt succeeded)"""
        metrics = self.metrics()
        return metrics.value("psgate_config_generation"), metrics.value("psgate_config_last_reload_successful")

    async def count_descriptors(self):
        """Those of a gateway with nothing to do and no connection upstream."""
        self.relay.cut()
        await self.wait(lambda: self.metrics().value("psgate_requests_in_flight") == 0, "all requests to end")
        await self.wait(lambda: self.metrics().sum("psgate_upstream_connections") == 0
                        and self.metrics().value("psgate_connections") == 0, "all connections to end")
        return await asyncio.to_thread(self.gateway.count_descriptors)

    async def watch_memory(self):
        while now() < self.end:
            self.resident.append(self.gateway.resident_kib())
            await asyncio.sleep(1)

    async def make_faults(self):
        faults = [self.cut, self.refuse, self.stall, self.lose, self.reload, self.reload_in_vain, self.purge,
                  self.rotate, self.change_key]
        while now() < self.end:
            fault = self.random.choice(faults)
            await fault()
            self.faults[fault.__name__] += 1
            await asyncio.sleep(0.2 + self.random.random())

    async def cut(self):
        self.relay.cut()

    async def refuse(self):
        await self.relay.refuse(0.5)

    async def stall(self):
        await self.relay.stall(RESPONSE_TIMEOUT * 2)

    async def lose(self):
        await self.relay.lose(0.5)

    async def purge(self):
        answer = await asyncio.to_thread(self.door.ask, b"/cache/purge?scope=members", method=b"POST")
        assert answer.status in (200, 204), answer.start

    async def reload(self):
        before, _ = self.config_state()
        self.gateway.hang_up()
        await self.wait(lambda: self.config_state() >= (before + 1, 1), "the reload")
        self.reloads += 1

    async def reload_in_vain(self):
        good = self.gateway.config_file.read_text()
        before, _ = self.config_state()
        self.gateway.config_file.write_text(good.replace('"workers"', '"wrokers"'))
        self.gateway.hang_up()
        await self.wait(lambda: self.config_state() == (before, 0), "the refused reload")
        self.gateway.config_file.write_text(good)
        await self.reload()

    async def change_key(self):
        self.gateway.key = f"key{self.random.getrandbits(128):032x}"
        self.gateway.secrets.append(self.gateway.key)
        write_private(self.gateway.key_file, self.gateway.key + "\n")
        await self.reload()

    async def rotate(self):
        log = self.gateway.folder / "log"
        log.rename(log.with_name(f"log.{self.logs}"))
        self.logs += 1
        self.gateway.process.send_signal(signal.SIGUSR1)
        await self.wait(log.exists, "the new log")


def start_sandbox(binary, folder):
    out = folder / "sandbox-out"
    with open(out, "w") as stdout:
        process = subprocess.Popen([binary, "sandbox", "--listen", "127.0.0.1:0"], stdout=stdout, stderr=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or "\n" in out.read_text(), "the sandbox to listen")
    return process, int(out.read_text().strip().rpartition(":")[2])


async def ask_sandbox(port, target):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: sandbox.test\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def run(options, folder):
    sandbox, port = start_sandbox(options.binary, folder)
    gateway = Gateway(options.binary, folder, "http://127.0.0.1:1", merged(CONFIG, unix(folder / "admin.sock")))
    soak = Soak(options, gateway, port)
    try:
        soak.team = (await ask_sandbox(port, "/v1/auth/session"))["team"]["id"]
        members = await ask_sandbox(port, f"/v1/teams/{soak.team}/users")
        soak.member = members[-1]["userId"]
        await soak.relay.open()
        gateway.write_config(merged(gateway.config, {"upstream": {"url": f"http://127.0.0.1:{soak.relay.port}"}}))
        gateway.add_client("tester")
        gateway.start()
        await soak.run(options.seconds)
        judge = Judge(soak)
        judge.judge_metrics(soak.metrics())
        judge.judge_memory(await soak.count_descriptors())
        gateway.stop()
        judge.judge_log(folder)
        judge.judge_trail(folder / "audit")
        secrets = await ask_sandbox(port, f"/v1/teams/{soak.team}/secrets")
        judge.judge_sandbox({secret["name"] for secret in secrets if secret["name"].startswith("c")})
    finally:
        if gateway.is_running():
            gateway.process.kill()
            gateway.process.wait()
        sandbox.terminate()
        sandbox.wait()
    return soak, judge


def report(soak, judge):
    account = soak.account
    for fault in [*judge.faults, *account.wrong[:10]]:
        print(f"fault: {fault}")
    own = sum(account.own.values())
    latencies = sorted(account.latencies)
    print("faults made:", ", ".join(f"{name} {count}" for name, count in sorted(soak.faults.items())))
    print(f"{account.total} answers ({own} errors of the gateway, {account.cut} cut), {account.left} left, "
          f"p50 {1000 * latencies[len(latencies) // 2]:.1f} ms, p99 {1000 * latencies[len(latencies) * 99 // 100]:.1f} ms")
    print(f"/metrics and log {judge.requests} requests; trail {judge.records} records, {judge.mutations} mutations, "
          f"{judge.unknown} unknown; {soak.reloads} reloads; descriptors {soak.descriptors}; "
          f"resident {judge.early / 1024:.1f} MiB early, {judge.late / 1024:.1f} MiB late")
    return 1 if judge.faults or account.wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.environ.get("PSGATE_BINARY", ROOT / "build" / "dev" / "psgate"))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--pause", type=float, default=0.02, help="the longest between two requests of a caller, in seconds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    options.binary = Path(options.binary).resolve()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return report(*asyncio.run(run(options, Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
