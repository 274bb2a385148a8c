#!/usr/bin/env bash
# Searches the model of the cache's generations: the sound one must hold, and each seeded
# mistake must be found. A line a check, and a last line that counts them.
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

if (($# > 0)); then
    printf 'usage: %s\n' "${0##*/}" >&2
    exit 64
fi
need spin spin
need gcc gcc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lanes=$(nproc)
lanes=$((lanes < 2 ? lanes : 2))
start_checks
wait
summarise
