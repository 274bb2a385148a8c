"""A real Prometheus that scrapes one address; the machine's, if there is one, is left alone."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from support.waiting import DEADLINE, wait_until

LISTENING = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: psgate
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def find(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}: it is in the package prometheus")
    return path


def check_metrics(text):
    """What promtool says against metrics, which is nothing when they are fine."""
    result = subprocess.run([find("promtool"), "check", "metrics"], input=text, capture_output=True, text=True,
                            timeout=DEADLINE)
    return f"{result.stdout}{result.stderr}" + (f"status {result.returncode}" if result.returncode else "")


class Prometheus:
    """Listens on a free loopback port and keeps its data in the folder."""

    def __init__(self, folder, scraped_port):
        self.log = folder / "prometheus.log"
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=scraped_port))
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [find("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                 "--web.listen-address=127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

    def port(self):
        return int(wait_until(self._find_port, "Prometheus to listen", timeout=60)[1])

    def _find_port(self):
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return LISTENING.search(self.log.read_text())

    def query(self, expression):
        """The values of an instant query by their labels; none while Prometheus is starting."""
        url = f"http://127.0.0.1:{self.port()}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
                body = json.load(answer)
        except urllib.error.HTTPError as failure:
            assert failure.code == 503, failure
            return {}
        assert body["status"] == "success", body
        return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in body["data"]["result"]}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
