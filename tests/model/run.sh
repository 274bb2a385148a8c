#!/usr/bin/env bash
# Searches the models of the cache's generations, in one gateway and in a fleet: the sound ones
# must hold, and each seeded mistake must be found. A line a check, and a last line that counts
# them. --long: those mistakes too that take a minute or more to find, and the fleet without
# faults is searched to its end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
model=$here/generations.pml

# need COMMAND PACKAGE
need() {
    if ! command -v "$1" >/dev/null; then
        printf '%s: %s is missing: apt-get install %s\n' "${0##*/}" "$1" "$2" >&2
        exit 1
    fi
}

# verify FOLDER MODEL-MACROS COMPILER-OPTIONS SEARCH-OPTIONS: builds a verifier in FOLDER and
# searches; what it says goes to FOLDER/output. Options are words, so they stand unquoted.
verify() {
    local folder=$1
    # shellcheck disable=SC2086
    (
        cd "$folder"
        cp "$model" .
        {
            spin $2 -a generations.pml &&
                gcc -w -DMEMLIM=2048 $3 -o pan pan.c &&
                ./pan -m10000 $4
        } >output 2>&1
    ) || printf 'ended with status %d\n' $? >>"$folder/output"
}

# has OUTPUT TEXT...: is each of the texts in it?
has() {
    local output=$1 text
    shift
    for text; do
        grep -qF -- "$text" "$output" || return 1
    done
}

# Whether the search came to its own end: not to that of its memory, its depth or its verifier.
is_complete() {
    has "$1" 'Full statespace search' &&
        ! grep -qE 'Search not completed|search depth too small|ended with status' "$1"
}

is_sound() {
    is_complete "$1" && has "$1" 'errors: 0'
}

# Steps that no run ever took. Ways and fetches have no end; all else should be taken.
steps_not_taken() {
    grep -E '^[[:space:]]+generations.pml:[0-9]+, state' "$1" | grep -vF '"-end-"' || true
}

states() {
    awk '/states, stored/ { printf "%d states", $1; exit }' "$1"
}

# The checks: each writes its line's last words to standard output.

holds() {
    verify "$1" "$2" '-O2 -DSAFETY' ''
    is_sound "$1/output" && states "$1/output"
}

holds_and_takes_all_steps() {
    local left_out
    holds "$1" "$2" || return 1
    left_out=$(steps_not_taken "$1/output")
    if [[ -n $left_out ]]; then
        printf ', but steps that are never taken:\n%s' "$left_out"
        return 1
    fi
}

# No run goes round in a circle (there are no progress labels, so any circle would be reported):
# as none gets stuck either, which every check looks at, each comes to its end, and so do reads.
comes_to_an_end() {
    verify "$1" "$2" '-O2 -DNP' -l
    has "$1/output" 'non-progress cycles' && is_sound "$1/output" && states "$1/output"
}

# finds TEXT FOLDER MACROS: the search must end with an error, and for the reason in TEXT.
finds() {
    verify "$2" "$3" '-O1 -DSAFETY' ''
    has "$2/output" 'errors: 1' && grep -m 1 '^pan:1: ' "$2/output" | grep -F -- "$1" >/dev/null &&
        printf 'found'
}

breaks_promise() {
    finds owed "$1" "$2 -DPROMISE_ONLY"
}

breaks_strict() {
    finds '(entry.value==value)' "$1" "$2"
}

breaks_ending() {
    finds 'invalid end state' "$1" "$2"
}

breaks_read_order() {
    finds newest_before "$1" "$2"
}

# What went wrong, and the way there.
explain() {
    (
        cd "$1"
        tail -n 40 output
        if [[ -f generations.pml.trail ]]; then
            # shellcheck disable=SC2086
            spin $2 -t -p -g generations.pml | tail -n 80
        fi
    ) >&2
}

# check NUMBER NAME MACROS COMMAND...: one check, in a folder of its own.
check() {
    local folder=$work/$1 name=$2 macros=$3 words start=$EPOCHREALTIME status=ok
    shift 3
    mkdir "$folder"
    words=$("$@" "$folder" "$macros") || status=FAILED
    printf '%-6s %-62s %3d s  %s\n' "$status" "$name" \
        "$(((${EPOCHREALTIME/./} - ${start/./}) / 1000000))" "$words"
    if [[ $status == ok ]]; then
        : >"$folder/passed"
    else
        explain "$folder" "$macros"
    fi
    rm -f "$folder/pan"*
}

# start NAME MACROS COMMAND...: a check, beside as many others as there are processors (but at
# most two, for the memory: each may take 2 GiB, and the greatest takes half of one).
started=0
start() {
    if (($(jobs -rp | wc -l) >= lanes)); then
        wait -n || true
    fi
    started=$((started + 1))
    check "$started" "$@" &
}

# Searches the fleet in an order by chance, the same each time, 300 steps deep, until an error
# is found or SECONDS are over. verify_fleet FOLDER MACROS SECONDS
verify_fleet() {
    # shellcheck disable=SC2086
    (
        cd "$1" && cp "$here/fleet.pml" . && spin $2 -a fleet.pml &&
            gcc -w -O2 -DMEMLIM=1024 -DSAFETY -DBITSTATE -DT_RAND -DP_RAND -o pan pan.c &&
            timeout -s INT "$3" ./pan -m300 -w25 -RS1
    ) >"$1/output" 2>&1 || true
}

fleet_breaks_bound() {
    verify_fleet "$1" "$2" 300
    grep -E '^pan:1: assertion violated .*(knows|owed)' "$1/output" >/dev/null && printf 'found'
}

fleet_sample_holds() {
    verify_fleet "$1" "$2" 15
    has "$1/output" 'errors: 0' && states "$1/output"
}

fleet_holds() {
    # shellcheck disable=SC2086
    (
        cd "$1"
        cp "$here/fleet.pml" .
        spin $2 -a fleet.pml
        gcc -w -O2 -DMEMLIM=2048 -DSAFETY -DCOLLAPSE -o pan pan.c
        ./pan -m1000000
    ) >"$1/output" 2>&1 || printf 'ended with status %d\n' $? >>"$1/output"
    is_sound "$1/output" && states "$1/output"
}

start_fleet_checks() {
    local mistake

    start 'fleet: a sample with every fault' '' fleet_sample_holds
    if $is_long; then
        start 'fleet: no fault, nothing refused, searched to the end' -DNO_FAULTS fleet_holds
    fi
    while read -r mistake; do
        start "fleet: ${mistake%% *} breaks the bound" "-D$mistake" fleet_breaks_bound
    done <<'END'
DROP_END_RAISE -DCUTS=0 -DDEATHS=0 -DFORGETS=0 -DBREAKS=0
DROP_EXPIRY_RAISE -DCUTS=0 -DFORGETS=0 -DBREAKS=0
STAMP_AT_RECEIPT -DDEATHS=0 -DCUTS=0 -DBREAKS=0
USE_UNTRUSTED -DFORGETS=0 -DDEATHS=0
JOIN_UNTRUSTED -DFORGETS=0 -DDEATHS=0 -DCUTS=1 -DBREAKS=0
END
    $is_long || return 0
    while read -r mistake; do
        start "fleet: ${mistake%% *} breaks the bound" "-D$mistake" fleet_breaks_bound
    done <<'END'
COVERED_WITHOUT_MARK -DDEATHS=0 -DCUTS=1 -DBREAKS=0 -DFORGETS=0
IGNORE_MARKS -DTRUST_OWN_MARK -DDEATHS=0 -DCUTS=1 -DBREAKS=0 -DFORGETS=0
TRUST_OWN_MARK -DDEATHS=0
FORGET_HOLD -DDEATHS=0
END
}

start_checks() {
    local name

    # The greatest first, so that the small ones run beside them.
    start 'sound: 4 reads, 2 changes, every step taken' '' holds_and_takes_all_steps
    start 'sound: 2 reads, 2 changes: every run, so every read, ends' -DREADS=2 comes_to_an_end
    start 'sound: 2 reads, 3 changes' '-DREADS=2 -DCHANGES=3' holds
    start 'promise alone: no first raise, storing at any time: still holds' \
        '-DREADS=3 -DPROMISE_ONLY -DDROP_FIRST_RAISE -DSTORE_WHILE_IN_FLIGHT' holds

    for name in DROP_SECOND_RAISE DROP_RAISE_ON_FAILURE DROP_HOLD DROP_RAISE_AFTER_HOLD \
        REVIVE_BY_304 JOIN_OLD_FLIGHT USE_OLD_ENTRY STAMP_WHEN_STORED; do
        start "$name breaks the promise" "-D$name" breaks_promise
    done
    for name in DROP_FIRST_RAISE STORE_WHILE_IN_FLIGHT STORE_IN_HOLD MARK_AFTER_RAISE \
        UNMARK_BEFORE_RAISE TRUST_ANY_HEAD; do
        start "$name breaks the strict property" "-D$name" breaks_strict
    done
    start 'FORGET_WAITERS leaves a read without its end' -DFORGET_WAITERS breaks_ending
    start 'READ_ORDER is not a property' -DREAD_ORDER breaks_read_order
}

summarise() {
    local passed
    passed=$(find "$work" -name passed | wc -l)
    printf '%d passed, %d failed\n' "$passed" $((started - passed))
    ((passed == started))
}

is_long=false
if (($# == 1)) && [[ $1 == --long ]]; then
    is_long=true
elif (($# > 0)); then
    printf 'usage: %s [--long]\n' "${0##*/}" >&2
    exit 64
fi
need spin spin
need gcc gcc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lanes=$(nproc)
lanes=$((lanes < 2 ? lanes : 2))
start_fleet_checks
start_checks
wait
summarise
