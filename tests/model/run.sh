#!/usr/bin/env bash
# Checks the model of generations and flights: sound as it is, and each seeded mistake found.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

for tool in spin gcc; do
    if ! command -v "$tool" >/dev/null; then
        printf 'tests/model/run.sh: %s is missing (apt-get install %s)\n' "$tool" "$tool" >&2
        exit 1
    fi
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/psgate-model.XXXXXX")
trap 'rm -rf "$folder"' EXIT
passed=0
failed=0

# verify MACRO...: searches every state; the report is in $folder/MACRO/report.
verify() {
    local work=$folder/${1:-sound} macros=()
    [[ -z ${1:-} ]] || macros=("-D$1")
    mkdir -p "$work"
    (
        cd "$work"
        spin "${macros[@]}" -a "$here/generations.pml" >/dev/null
        gcc -O2 -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -w -o pan pan.c
        ./pan -m100000 >report 2>&1 || true
    )
}

tell() {
    local is_good=$1 name=$2 what=$3
    if $is_good; then
        passed=$((passed + 1))
        printf 'ok      %-28s %s\n' "$name" "$what"
    else
        failed=$((failed + 1))
        printf 'FAILED  %-28s %s\n' "$name" "$what"
    fi
}

expect_sound() {
    local report=$folder/sound/report good=false states
    verify ''
    # Complete: no error, and nothing that cut the search short.
    if grep -q 'errors: 0' "$report" &&
        ! grep -qE 'max search depth too small|out of memory|Search not completed' "$report"; then
        good=true
    fi
    states=$(awk '/states, stored/ { print $1; exit }' "$report")
    tell "$good" 'as designed' "${states:-no} states, no error"
}

expect_found() {
    local good=false
    verify "$1"
    ! grep -q 'assertion violated' "$folder/$1/report" || good=true
    tell "$good" "$1" 'a seeded mistake that must be found'
}

expect_sound
for mistake in DROP_FIRST_RAISE DROP_SECOND_RAISE DROP_HOLD REVIVE_BY_304 STORE_WHILE_IN_FLIGHT \
    JOIN_OLD_FLIGHT USE_OLD_ENTRY; do
    if grep -qw "$mistake" "$here/generations.pml"; then
        expect_found "$mistake"
    fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
