"""`cmake --install`: exactly these files, below the prefix, and a program that runs from anywhere."""

import re
import subprocess

import pytest

from conftest import ROOT, one_at_a_time

BUILD = ROOT / "build" / "release"
ALWAYS = {
    "bin/psgate",
    "share/psgate/operations.json",
    "share/psgate/psgate.schema.json",
    "share/psgate/clients.schema.json",
    "share/psgate/operations.schema.json",
    "share/doc/psgate/README.md",
    "share/doc/psgate/psgate.cdx.json",
    "share/doc/psgate/examples/psgate.json",
    "share/doc/psgate/examples/clients.json",
    "share/man/man1/psgate.1",
    "share/man/man5/psgate.json.5",
    "share/bash-completion/completions/psgate",
    "share/zsh/site-functions/_psgate",
    "share/fish/vendor_completions.d/psgate.fish",
    "lib/systemd/system/psgate.service",
    "lib/systemd/system/psgate.socket",
    "lib/systemd/system/psgate-admin.socket",
    "lib/sysusers.d/psgate.conf",
}
EXAMPLES = ("container", "grafana", "haproxy", "kubernetes", "kubernetes-fleet", "logrotate", "prometheus", "rsyslog")


def expected():
    """What git has of the examples, or would take in: not what an editor left behind."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *EXAMPLES],
                            cwd=ROOT / "deploy", capture_output=True, text=True, check=True).stdout
    return ALWAYS | {f"share/doc/psgate/examples/{name}" for name in listed.splitlines()}


@pytest.fixture(scope="session")
def installed(package, tmp_path_factory):
    """A copy installed below /opt/psgate of another root, by way of DESTDIR."""
    root = tmp_path_factory.mktemp("root")
    with one_at_a_time("package"):
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/opt/psgate"], check=True, capture_output=True,
                       env={"PATH": "/usr/bin:/bin", "DESTDIR": str(root)})
    return root


def test_every_file_is_where_it_belongs_and_no_other(installed):
    there = {str(path.relative_to(installed / "opt" / "psgate")) for path in installed.rglob("*") if path.is_file()}
    assert there == expected()
    assert [path.name for path in installed.iterdir()] == ["opt"]


def test_the_installed_program_runs(installed, run):
    result = run(installed / "opt/psgate/bin/psgate", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"psgate \d+\.\d+\.\d+\n", result.stdout)


def test_the_installed_program_finds_its_libraries_by_itself(installed, run):
    dynamic = run("readelf", "--dynamic", installed / "opt/psgate/bin/psgate").stdout
    assert "NEEDED" in dynamic
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic


def test_the_service_runs_the_program_that_was_installed(installed):
    unit = installed / "opt/psgate/lib/systemd/system/psgate.service"
    assert "/opt/psgate/bin/psgate serve" in unit.read_text()
    assert "/usr/bin/psgate" not in unit.read_text()
