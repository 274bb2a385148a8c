#!/usr/bin/env bash
# Builds the fuzzers and runs them: each over its seeds, then on for some time.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../../deploy/lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=../../deploy/lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=../../deploy/lib/build.sh
source "$root/deploy/lib/build.sh"

folder=$root/tests/fuzz
output=$root/build/fuzz
fuzz_packages=(clang libclang-rt-14-dev)

usage() {
    cat <<'END'
Usage: tests/fuzz/run.sh [--seconds N] [--seed N] [--keep] [TARGET...]

Builds the fuzzers (clang's libFuzzer, AddressSanitizer, UndefinedBehaviorSanitizer) in
build/fuzz and runs those that are named, or all, two at a time: each over the inputs in
tests/fuzz/seeds/TARGET, in tests/fuzz/corpora/TARGET.tar.gz and those that it found worth
keeping before (build/fuzz/corpus), then for N seconds over inputs that it makes up. Exit
status 1 when one found something.

  --seconds N    how long each goes on (10); 0: only over the inputs that there are
  --seed N       of the random numbers (0: another one in each run)
  --keep         then writes the corpora anew: the fewest inputs that reach all that those
                 of the seeds do not
  -h, --help     this text
END
}

seconds=10
seed=0
keeps=false
targets=()

need_number() {
    [[ $2 =~ ^[0-9]+$ ]] || misused "$1 takes a number"
}

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --seconds | --seed)
            need_number "$1" "${2-}"
            [[ $1 == --seconds ]] && seconds=$2 || seed=$2
            shift
            ;;
        --keep) keeps=true ;;
        -h | --help)
            usage
            exit
            ;;
        -*) misused "unknown option: $1" ;;
        *)
            [[ -f $folder/fuzz_$1.c ]] || misused "no target of that name: $1"
            targets+=("$1")
            ;;
        esac
        shift
    done
    if ((${#targets[@]} == 0)); then
        mapfile -t targets < <(cd "$folder" && printf '%s\n' fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
    fi
}

# The dictionary of words that are common in a target's input; its name, or nothing.
dictionary_of() {
    case $1 in
    request_head | response_head | fields) echo head ;;
    admission | target | matcher) echo target ;;
    body) echo body ;;
    forwarded) echo forwarded ;;
    connection | connection_full | proxy_header | replies) ;;
    *) echo json ;;
    esac
}

# The folder of its seeds: two targets play the same scripts.
seeds_of() {
    case $1 in
    connection_full) echo connection ;;
    *) echo "$1" ;;
    esac
}

# Takes a target's corpus out of its archive, into $output/kept.
unpack() {
    local kept=$output/kept/$1 archive=$folder/corpora/$1.tar.gz
    rm -rf "$kept"
    mkdir -p "$kept"
    [[ ! -f $archive ]] || tar -xzf "$archive" -C "$kept"
}

# Writes the archive anew from all inputs that there are.
keep() {
    local target=$1 merged=$output/merged/$1 seeds
    seeds=$folder/seeds/$(seeds_of "$target")
    rm -rf "$merged"
    mkdir -p "$merged" "$folder/corpora"
    cp "$seeds"/* "$merged"
    "$output/fuzzers/fuzz_$target" -set_cover_merge=1 "$merged" "$output/kept/$target" \
        "$output/corpus/$target" >"$output/logs/$target.keep" 2>&1 ||
        die "the corpus of $target does not merge ($output/logs/$target.keep)"
    (cd "$seeds" && printf '%s\0' *) | (cd "$merged" && xargs -0 rm -f)
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$merged" -cf - . |
        gzip -n9 >"$folder/corpora/$target.tar.gz"
}

# fuzz TARGET: its log is then $output/logs/TARGET.
fuzz() {
    local target=$1 options dictionary
    dictionary=$(dictionary_of "$target")
    options=(
        -artifact_prefix="$output/findings/$target-"
        -max_len=2048 -timeout=20 -rss_limit_mb=2048 -seed="$seed" -print_final_stats=1
    )
    [[ -z $dictionary ]] || options+=(-dict="$folder/dictionaries/$dictionary.dict")
    if ((seconds > 0)); then
        options+=(-max_total_time="$seconds")
    else
        options+=(-runs=0)
    fi
    mkdir -p "$output/corpus/$target"
    unpack "$target"
    "$output/fuzzers/fuzz_$target" "${options[@]}" "$output/corpus/$target" \
        "$output/kept/$target" "$folder/seeds/$(seeds_of "$target")" >"$output/logs/$target" 2>&1
}

passed=0
failed=0

# Says how a target ended, by its log and whether it found something.
report() {
    local target=$1 status=$2 log=$output/logs/$1 runs finding
    if ((status == 0)); then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        note "$target: ${runs:-no} inputs, nothing found"
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    if [[ -z $finding ]]; then
        warn "$target ended with status $status: $(tail -n 1 "$log") (all of it: $log)"
        return
    fi
    warn "$target found something (all of it: $log)"
    grep -aE '^property broken|ERROR: |runtime error|Assertion' "$log" | head -n 3 >&2 || true
    note "again: build/fuzz/fuzzers/fuzz_$target $finding" \
        "Once it is mended, keep the file in tests/fuzz/seeds/$(seeds_of "$target") and write a test." >&2
}

run_targets() {
    local -A running=() # pid -> target
    local target pid status
    for target in "${targets[@]}" ''; do
        while ((${#running[@]} >= 2)) || [[ -z $target && ${#running[@]} -gt 0 ]]; do
            status=0
            wait -n -p pid "${!running[@]}" || status=$?
            report "${running[$pid]}" "$status"
            unset "running[$pid]"
        done
        [[ -n $target ]] || break
        fuzz "$target" &
        running[$!]=$target
    done
}

trap 'explain_exit $?' EXIT
read_arguments "$@"
need_packages "${fuzz_packages[@]}"
build_preset "$root" fuzz || die "the fuzzers do not build"
mkdir -p "$output/logs" "$output/findings"
run_targets
if $keeps && ((failed == 0)); then
    for target in "${targets[@]}"; do
        keep "$target"
    done
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
has_explained=true
((failed == 0))
