"""What bash, zsh and fish offer for psgate: the real shells, asked one line at a time."""

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from conftest import DEADLINE, ROOT
from helps import commands, help_of, options, words_of

COMPLETIONS = ROOT / "deploy" / "completions"
SHELLS = ("bash", "zsh", "fish")
OPERATIONS = [row["id"] for row in json.loads((ROOT / "conf" / "operations.json").read_text())["operations"]] + ["other"]

BASH = """
source "$COMPLETION"
complete -p psgate >/dev/null || exit 1
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_psgate psgate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""

# compadd is the builtin through which every match goes; with -O, -A or -D it only computes.
ZSH = """
fpath=("$FOLDER" $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
    local -a hits
    if [[ " ${@[1,(i)(-|--)]} " == *" -"[OAD]" "* ]]; then
        builtin compadd "$@"
        return
    fi
    builtin compadd -A hits "$@"
    ((${#hits} == 0)) || print -lr -- $hits >> "$OUT"
    builtin compadd "$@"
}
finish() { print -r -- END >> "$OUT" }
comppostfuncs=(finish)
LISTMAX=100000
PS1=''
unsetopt BEEP
bindkey '^I' complete-word
print READY >> "$OUT"
"""


def bash(line, folder):
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith(" ") else [])
    script = "COMP_WORDS=(" + " ".join(f"'{word}'" for word in words) + ")\n" + BASH
    result = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=DEADLINE, cwd=folder,
                            env={**os.environ, "COMPLETION": str(COMPLETIONS / "psgate.bash")})
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout.splitlines()


def fish(line, folder):
    result = subprocess.run(["fish", "--no-config", "-c", f'source $COMPLETION; complete -C "{line}"'], cwd=folder, capture_output=True,
                            text=True, timeout=DEADLINE, env={**os.environ, "COMPLETION": str(COMPLETIONS / "psgate.fish"),
                                                              "HOME": str(folder)})
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return [word.partition("\t")[0] for word in result.stdout.splitlines()]


def zsh(line, folder):
    """On a terminal of its own, because zsh completes nowhere else."""
    out = folder / f"out-{time.monotonic_ns()}"
    out.touch()
    (folder / "setup.zsh").write_text(ZSH)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(OUT=str(out), FOLDER=str(COMPLETIONS), TERM="vt100", HOME=str(folder))
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        os.write(terminal, f"source {folder}/setup.zsh\n".encode())
        said = drain_until(terminal, out, "READY")
        os.write(terminal, line.encode() + b"\t")
        said += drain_until(terminal, out, "END")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    assert b"_psgate:" not in said and b"_arguments:" not in said, said
    return [word for word in out.read_text().splitlines() if word not in ("READY", "END")]


def drain_until(terminal, out, mark):
    """Reads what the terminal says until the mark stands in the file."""
    said, deadline = b"", time.monotonic() + DEADLINE
    while mark not in out.read_text().splitlines():
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.02)[0]:
            said += os.read(terminal, 65536)
    return said


@pytest.fixture(params=SHELLS)
def offered(request, tmp_path):
    """What the shell offers at the end of a line, in a folder with a few files."""
    clients = [{"name": name, "token_sha256": "0" * 64} for name in ("ci", "build-farm", "ci")]
    (tmp_path / "clients.json").write_text(json.dumps({"clients": clients}))
    (tmp_path / "psgate.json").write_text(json.dumps({"clients_file": "clients.json", "credentials": {}}))
    (tmp_path / "trail").mkdir()
    shell = {"bash": bash, "zsh": zsh, "fish": fish}[request.param]

    def offered(line):
        # Of "--name=value" fish gives the whole, the others the value; folders end in a slash in some.
        return {re.sub(r"^--[a-z-]+=(?=.)", "", word).rstrip("/=") for word in shell(line, tmp_path)}

    return offered


def spellings(binary, command):
    return {spelling for option, _ in options(binary, command) for spelling in option}


def test_the_commands_are_offered(binary, offered):
    assert offered("psgate ") >= set(words_of(help_of(binary)))
    assert offered("psgate s") == {"serve", "sandbox"}


@pytest.mark.parametrize("command", ["token", "audit"])
def test_the_verbs_are_offered(binary, offered, command):
    usage = help_of(binary, command)
    verbs = set(words_of(usage)) or set(re.findall(r"psgate token (\w+)", usage))
    assert offered(f"psgate {command} ") >= verbs and len(verbs) >= 3


def test_every_option_of_every_command_is_offered(binary, offered):
    for command in commands(binary):
        verbs = ("create", "list", "revoke") if command == "token" else ("",)
        found = {word for verb in verbs for word in offered(f"psgate {command} {verb} -".replace("  ", " "))}
        if not any(len(word) == 2 for word in found):
            pytest.fail(f"{command}: no short option in {found}")
        assert found == spellings(binary, command), command


def test_only_what_the_verb_takes_is_offered(offered):
    assert "--json" in offered("psgate token list -") and "--json" not in offered("psgate token create -")
    assert "--allow" in offered("psgate token create -") and "--allow" not in offered("psgate token revoke -")
    assert "--follow" in offered("psgate audit tail -") and "--follow" not in offered("psgate audit search -")


def test_files_are_offered_where_files_belong(offered):
    for line in ("serve -c ", "check --config ", "token list --clients ", "sandbox --api-key-file ", "audit verify trail --public-key "):
        assert {"psgate.json", "clients.json"} <= offered(f"psgate {line}"), line


def test_folders_alone_are_offered_for_a_trail(offered):
    for verb in ("verify", "search", "tail", "keygen"):
        found = offered(f"psgate audit {verb} ")
        assert "trail" in found and "clients.json" not in found


def test_clients_are_offered_by_name_once(offered):
    assert offered("psgate token revoke --clients clients.json --name ") == {"ci", "build-farm"}
    assert offered("psgate token list --clients=clients.json --name b") == {"build-farm"}


def test_the_clients_of_a_configuration_are_offered(offered):
    assert offered("psgate check -c psgate.json --client ") == {"ci", "build-farm"}


def test_no_names_are_offered_where_there_is_no_file(offered):
    assert offered("psgate token revoke --clients none.json --name ") == set()


def test_operations_are_offered_behind_a_comma_too(offered):
    assert offered("psgate token create --allow ") == set(OPERATIONS)
    assert {word.rpartition(",")[2] for word in offered("psgate token create --deny getSession,listTeam")} == {
        "listTeamMembers", "listTeamSecrets"}
    assert {word.rpartition(",")[2] for word in offered("psgate audit tail trail --outcome success,un")} == {"unknown", "unfinished"}
    assert offered("psgate audit search trail --action log") == {"logIn", "logInV1"}


def test_methods_are_offered_for_a_request(offered):
    assert offered("psgate check --explain P") == {"POST", "PUT", "PATCH"}


def test_nothing_is_offered_where_only_the_user_knows(offered):
    assert offered("psgate token create --team ") == set()
    assert offered("psgate sandbox --listen ") == set()
