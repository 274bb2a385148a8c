"""The gateway under test: its files, its process, what it printed and how it ended."""

import copy
import json
import os
import re
import secrets
import signal
import subprocess
import time

from support.raw import Client
from support.waiting import DEADLINE, wait_until

LISTENING = re.compile(r"listening on (?:(https?)://(.*):(\d+)|unix:.*)\Z")
SANITIZER = re.compile(r"ERROR: AddressSanitizer|runtime error:|LeakSanitizer|WARNING: ThreadSanitizer")
DEFAULTS = {
    "listen": [{"address": "127.0.0.1:0"}],
    "workers": 2,
    "limits": {"drain_timeout": "5s"},
    "log": {"level": "debug"},
}


def merged(base, extra):
    """A copy of base in which the members of extra replace or extend its own, at every depth."""
    result = copy.deepcopy(base)
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merged(result[key], value)
        result[key] = value
    return result


def write_private(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


class Gateway:
    """Writes configuration, key and clients into a folder; start and stop are explicit."""

    def __init__(self, binary, folder, upstream_url, config=None, operations=None):
        self.binary = str(binary)
        self.folder = folder
        self.key = "key" + secrets.token_hex(16)
        self.tokens = {}
        self.secrets = [self.key]
        self.process = None
        self.environment = None  # None: ours
        self.error_output = None  # a descriptor for standard error; None: the file that stderr() reads
        self.launcher = []  # a command that runs the command behind it
        self.handed_on = ()  # descriptors that the process gets beside the usual three
        self.output = folder  # where what it prints is kept
        self.ports = []
        self.key_file = write_private(folder / "api-key", self.key + "\n")
        self.clients_file = folder / "clients.json"
        own = {"upstream": {"url": upstream_url}, "clients_file": "clients.json",
               "credentials": {"default": {"api_key_file": "api-key"}}}
        if operations is not None:
            (folder / "operations.json").write_text(json.dumps({"operations": operations}))
            own["operations_file"] = "operations.json"
        self.config_file = folder / "psgate.json"
        self.write_config(merged(merged(DEFAULTS, own), config or {}))

    def write_config(self, config):
        self.config = config
        self.config_file.write_text(json.dumps(config, indent=2))

    # -- commands ------------------------------------------------------------------------

    def command(self, *arguments, launcher=(), **options):
        """Runs a subcommand to its end."""
        result = subprocess.run([*launcher, self.binary, *map(str, arguments)], capture_output=True,
                                text=True, timeout=DEADLINE, cwd=self.folder, **options)
        assert not SANITIZER.search(result.stderr), result.stderr
        return result

    def serve_in_vain(self):
        """Runs `serve` where it cannot start; its exit status and messages."""
        result = self.command("serve", "-c", self.config_file, launcher=self.launcher, env=self.environment,
                              pass_fds=self.handed_on)
        assert result.stdout == "", result.stdout
        assert self.key not in result.stderr
        return result

    def add_client(self, name, **members):
        """Makes a client with `token create`, sets members of its entry, returns its token."""
        result = self.command("token", "create", "--clients", self.clients_file, "--name", name)
        assert result.returncode == 0, result.stderr
        token = result.stdout.removesuffix("\n")
        self.tokens[name] = token
        self.secrets.append(token)
        if members:
            self.change_client(name, **members)
        return token

    def read_clients(self):
        return json.loads(self.clients_file.read_text())["clients"]

    def change_client(self, name, **members):
        clients = self.read_clients()
        entry = next(client for client in clients if client["name"] == name)
        entry.update(members)
        write_private(self.clients_file, json.dumps({"clients": clients}))

    # -- the process ---------------------------------------------------------------------

    def start(self, *options):
        command = [*self.launcher, self.binary, "serve", "-c", str(self.config_file), *options]
        with open(self.output / "stdout", "w") as out, open(self.output / "stderr", "w") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err if self.error_output is None else self.error_output,
                                            env=self.environment, pass_fds=self.handed_on)
        wanted = len(self.config["listen"])
        wait_until(lambda: self._has_ended() or len(self._listening()) >= wanted, "the gateway to listen")
        assert not self._has_ended(), f"it ended with {self.process.returncode}: {self.stderr()}"
        self.ports = [int(match[3]) for match in self._listening() if match[3]]
        return self

    def _has_ended(self):
        return self.process.poll() is not None

    def _listening(self):
        whole = self.stdout().rpartition("\n")[0].splitlines()
        return [match for line in whole if (match := LISTENING.match(line))]

    @property
    def port(self):
        return self.ports[0]

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and not self._has_ended()

    def connect(self, **options):
        return Client(self.port, **options)

    def stdout(self):
        return (self.output / "stdout").read_text()

    def stderr(self):
        return (self.output / "stderr").read_text(errors="replace")

    def hang_up(self):
        """Asks for a reload; what it changes is waited for by its effect."""
        self.process.send_signal(signal.SIGHUP)

    def refused_reload(self):
        """Asks for a reload that must fail and waits for all that it logs about that."""
        before = len(self.stderr())
        self.hang_up()
        return wait_until(lambda: "reload refused" in self.stderr()[before:] and self.stderr()[before:],
                          "a message about the refused reload")

    def stop(self):
        """Ends the process the polite way and checks how it ended and all that it printed."""
        if self.process is None:
            return
        if not self._has_ended():
            self.process.terminate()
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "still running after SIGTERM"
        self.check_output()
        assert status == 0, f"it ended with {status}: {self.stderr()[-2000:]}"

    def check_output(self):
        """No sanitizer report, no secret, nothing unexpected on standard output."""
        out, err = self.stdout(), self.stderr()
        report = SANITIZER.search(err)
        assert not report, err[report.start() - 200 : report.start() + 6000]
        for secret in self.secrets:
            assert secret not in out + err, "the key or a token is in the gateway's output"
        for line in out.splitlines():
            assert LISTENING.match(line), f"unexpected on standard output: {line!r}"

    # -- descriptors and memory --------------------------------------------------------------------------

    def count_descriptors(self):
        """The fewest of some looks: a file that is only read is open for a moment."""
        looks = []
        for _ in range(10):
            looks.append(len(os.listdir(f"/proc/{self.pid}/fd")))
            time.sleep(0.05)
        return min(looks)

    def resident_kib(self, field="VmRSS"):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))

    def reset_peak(self):
        """Makes the peak resident size count from now on."""
        with open(f"/proc/{self.pid}/clear_refs", "w") as refs:
            refs.write("5")

    def peak_kib(self):
        return self.resident_kib("VmHWM")


def is_sanitized():
    """Under sanitizers memory figures mean nothing."""
    return os.environ.get("PSGATE_SANITIZED") == "1"
