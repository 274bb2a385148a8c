#!/usr/bin/env bash
# The end-to-end tests with psgate (the dev build) under valgrind's memcheck: no error, and no
# leak at the exit after a drain.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../../deploy/lib/messages.sh
source "$root/deploy/lib/messages.sh"

usage() {
    cat <<'END'
Usage: tests/memcheck/run.sh [PYTEST-OPTION]... [FILE]...

Runs the end-to-end tests, or the named files of tests/e2e, with build/dev/psgate under memcheck.
It takes an hour or two on two cores. What memcheck says is in build/results/memcheck.
END
}

# Not under memcheck, as they are about:
left_out=(
    test_cache_stress       # time: races that memcheck, which runs one thread at a time, hides
    test_curl               # curl, and the same paths as others
    test_limits             # seconds, and descriptors, of which valgrind keeps some
    test_policy_matrix      # hundreds of spellings, of which unit tests and fuzzers see more
    test_progress           # the pace of a long trail on a terminal
    test_requests_refused   # as test_policy_matrix
    test_revocation         # "within a second"
    test_secrets_in_memory  # the process's own mappings: they would be valgrind's
    test_support            # the tests' own helpers
    test_targets_refused    # as test_policy_matrix
    test_testssl            # a quarter of an hour of handshakes, as in test_listeners
)

# /proc/PID/environ is valgrind's, which knows nothing of what the program overwrites in it.
left_out_tests=(
    test_life_cycle.py::test_the_key_may_come_from_the_environment_and_is_gone_from_it
)

# How much longer than usual the tests wait before they give up.
slowness=4

run_tests() {
    local options=() name
    for name in "${left_out[@]}"; do
        options+=(--ignore "$root/tests/e2e/$name.py")
    done
    for name in "${left_out_tests[@]}"; do
        options+=(--deselect "$name")
    done
    PYTHONDONTWRITEBYTECODE=1 PSGATE_SANITIZED=1 PSGATE_SLOWNESS=$slowness \
        PSGATE_BINARY=$root/tests/memcheck/psgate.sh \
        /usr/bin/python3 -m pytest -q -n "$(nproc)" -o timeout=600 "${options[@]}" "$@"
}

# A process that a test killed tells of an error only here.
said_something() {
    grep -lE 'lost in loss record|Invalid (read|write|free)|uninitialised|Mismatched|overlap' "$logs"/*.log
}

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    usage
    exit
fi
logs=$root/build/results/memcheck
rm -rf "$logs"
mkdir -p "$logs"
cd "$root"
has_files=false
for argument in "$@"; do
    [[ ! -e $argument ]] || has_files=true
done
$has_files || set -- "$@" tests/e2e
status=0
run_tests "$@" || status=$?
if said_something; then
    warn "memcheck found something: see the files above"
    status=1
fi
exit "$status"
