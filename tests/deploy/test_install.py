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
    "share/doc/psgate/README.md",
    "share/doc/psgate/examples/psgate.json",
    "share/doc/psgate/examples/clients.json",
}
EXAMPLES = ("container", "grafana", "haproxy", "kubernetes", "logrotate", "prometheus", "rsyslog")


def names(folder, pattern="*"):
    """What git has there, or would take in: not what an editor left behind."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", f"{folder}/{pattern}"],
                            cwd=ROOT / "deploy", capture_output=True, text=True, check=True).stdout
    return {line.removeprefix(f"{folder}/") for line in listed.splitlines()}


def expected():
    files = set(ALWAYS)
    for folder in EXAMPLES:
        files |= {f"share/doc/psgate/examples/{folder}/{name}" for name in names(folder)}
    for section in "15":
        files |= {f"share/man/man{section}/{name}" for name in names("man", f"*.{section}")}
    places = {"psgate.bash": "bash-completion/completions/psgate", "_psgate": "zsh/site-functions/_psgate",
              "psgate.fish": "fish/vendor_completions.d/psgate.fish"}
    files |= {f"share/{places[name]}" for name in names("completions")}
    files |= {f"lib/systemd/system/{unit}" for unit in ("psgate.service", "psgate.socket") if unit in names("systemd")}
    return files


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
    if not unit.exists():
        pytest.skip("deploy/systemd is not there yet")
    assert "/opt/psgate/bin/psgate serve" in unit.read_text()
    assert "/usr/bin/psgate" not in unit.read_text()
