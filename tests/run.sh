#!/usr/bin/env bash
# Every test there is: builds, unit tests, end-to-end tests, samples and scripts. One summary.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../deploy/lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=../deploy/lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=../deploy/lib/build.sh
source "$root/deploy/lib/build.sh"

test_packages=(
    check openssl zstd e2fsprogs logrotate systemd mandoc man-db zsh fish
    dpkg-dev file lintian debootstrap docker-compose
    spin prometheus slowhttptest redis-server
    clang libclang-rt-14-dev cppcheck clang-tidy
    python3 python3-pytest python3-pytest-xdist python3-pytest-timeout python3-jsonschema python3-yaml
)

usage() {
    cat <<'END'
Usage: tests/run.sh [--long [--soak SECONDS]] [--no-browser]
       tests/run.sh --coverage

Installs what is missing (Debian packages, as root or with sudo), builds with warnings as
errors, and runs every test: the unit ones plain and under AddressSanitizer and
UndefinedBehaviorSanitizer, the end-to-end ones under these, but for those that take long or
tell more without (--long: all of them with both builds). Goes on after a failure; the last line counts them all, and the
exit status is 0 only if nothing failed and every stage ran a test.

  --long     the slow tests too, everything under ThreadSanitizer (15 minutes on two cores), the
             end-to-end tests under memcheck (an hour or two), clang-tidy (5 minutes),
             gcc -fanalyzer (1), testssl.sh (3), fuzzers for a minute each (16)
  --soak SECONDS
             how long the soak of the long run lasts (default: 600; with sanitizers a tenth)
  --coverage only this: which lines and branches the unit tests reach (5 minutes), by folder;
             fails where http, api, access, cache or audit have less than 90 % of the lines
  --no-browser
             leave out the status page's tests in Chromium (and do not install it)
  -h, --help this text
END
}

is_long=false
is_coverage=false
soak_seconds=600
wants_browser=true

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --long) is_long=true ;;
        --coverage) is_coverage=true ;;
        --soak)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || misused "--soak needs a number of seconds"
            soak_seconds=$2
            shift
            ;;
        --no-browser) wants_browser=false ;;
        -h | --help)
            usage
            exit
            ;;
        *) misused "unknown option: $1" ;;
        esac
        shift
    done
}

# Each stage: a line of the summary; its tests add to the sums.
summary=()
passed=0
failed=0
skipped=0
declare -A ended=() # name -> ok, or not there

# stage NAME COMMAND...
stage() {
    local name=$1 start=$SECONDS status=ok
    shift
    say "$name"
    if "$@"; then
        ended[$name]=ok
    else
        status=FAILED
        failed=$((failed + 1))
    fi
    add_line "$status" "$name" $((SECONDS - start)) ''
}

# tested_stage NAME COMMAND...: COMMAND writes a JUnit report to the path in $report. A stage
# that failed without a failed test, or without any test, counts as one that failed.
tested_stage() {
    local name=$1 start=$SECONDS status=ok exit_status=0 counts good bad left_out
    shift
    say "$name"
    report=$results/${name//[^a-z0-9]/-}.xml
    "$@" || exit_status=$?
    counts=$(count_tests "$report")
    read -r good bad left_out <<<"$counts"
    if ((exit_status != 0 && bad == 0)); then
        warn "$name: ended with status $exit_status"
        bad=1
    elif ((good + bad == 0)); then
        warn "$name: ran no test"
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left_out))
    if ((bad > 0)); then
        status=FAILED
    else
        ended[$name]=ok
    fi
    add_line "$status" "$name" $((SECONDS - start)) "$(counted "$good" "$bad" "$left_out")"
}

# counted_stage NAME COMMAND...: COMMAND's last line is "N passed, N failed".
counted_stage() {
    local name=$1 start=$SECONDS status=ok last good=0 bad=1
    shift
    say "$name"
    "$@" | tee "$results/counted.txt" || true
    last=$(tail -n 1 "$results/counted.txt")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
        ((good + bad > 0)) || bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    ((bad == 0)) || status=FAILED
    add_line "$status" "$name" $((SECONDS - start)) "$(counted "$good" "$bad" 0)"
}

# after NAME STAGE...: the stage, if the one called NAME went well; it counts as failed if not.
after() {
    local needed=$1
    shift
    if [[ -n ${ended[$needed]:-} ]]; then
        "$@"
    else
        failed=$((failed + 1))
        add_line 'NOT RUN' "$2" 0 "needs: $needed"
    fi
}

add_line() {
    local colour=$green
    [[ $1 == ok ]] || colour=$red
    summary+=("$(printf '%s%-8s%s %-34s %4d s   %s' "$colour" "$1" "$plain" "$2" "$3" "$4")")
}

counted() {
    printf '%d passed, %d failed' "$1" "$2"
    (($3 == 0)) || printf ', %d skipped' "$3"
}

# Passed, failed and skipped tests of a JUnit report; a report that is not there has none.
count_tests() {
    /usr/bin/python3 - "$1" <<'END'
import sys
from xml.etree import ElementTree

counts = {"passed": 0, "failed": 0, "skipped": 0}
try:
    cases = list(ElementTree.parse(sys.argv[1]).iter("testcase"))
except (OSError, ElementTree.ParseError):
    cases = []
for case in cases:
    results = {child.tag for child in case}
    if results & {"failure", "error"}:
        counts["failed"] += 1
    elif "skipped" in results:
        counts["skipped"] += 1
    else:
        counts["passed"] += 1
print(*counts.values())
END
}

# In the stages below nothing may lean on "set -e": bash ignores it in a condition.

build() {
    build_preset "$root" "$1"
}

build_with_clang() {
    quietly cmake -S "$root" -B "$root/build/clang" -G Ninja -DCMAKE_C_COMPILER=clang \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPSGATE_WERROR=ON &&
        quietly cmake --build "$root/build/clang"
}

unit_tests() {
    ctest --test-dir "$root/build/$1" --parallel "$(nproc)" --output-on-failure \
        --no-tests=error --output-junit "$report"
}

# run_pytest PRESET WHAT...: folders or files, and options.
run_pytest() {
    local preset=$1 sanitized=0
    shift
    [[ $preset != asan && $preset != tsan ]] || sanitized=1
    (
        cd "$root" &&
            PYTHONDONTWRITEBYTECODE=1 PSGATE_BINARY=$root/build/$preset/psgate \
                PSGATE_SANITIZED=$sanitized \
                /usr/bin/python3 -m pytest -q --junitxml "$report" "$@"
    )
}

end_to_end_tests() {
    local options=(-n 4) seconds=$soak_seconds slow file
    slow=("$root"/tests/e2e/test_bad_days_*.py "$root"/tests/e2e/test_faults*.py
        "$root"/tests/e2e/test_fleet_stress.py)
    [[ $1 == dev ]] || seconds=$(((soak_seconds + 9) / 10))
    if $is_long; then
        options+=("$root/tests/e2e" --long --soak-seconds "$seconds")
    elif [[ $1 != dev ]]; then
        options+=("$root/tests/e2e")
        for file in "${slow[@]}"; do
            options+=(--ignore "$file")
        done
    else # and those that tell less under a sanitizer
        mapfile -t -O "${#slow[@]}" slow < <(grep -l is_sanitized "$root"/tests/e2e/test_*.py)
        mapfile -t slow < <(printf '%s\n' "${slow[@]}" | sort -u)
        options+=("${slow[@]}")
    fi
    run_pytest "$1" "${options[@]}"
}

sample_tests() {
    local options=(-n 2)
    ! $is_long || options+=(--long)
    run_pytest dev tests/deploy "${options[@]}"
}

# The Chromium is Debian's; of npm's packages there is the one that drives it.
browser_tests() (
    cd "$root/tests/browser" &&
        quietly npm ci --ignore-scripts --no-audit --no-fund &&
        PSGATE_BINARY=$root/build/dev/psgate node --test \
            --test-reporter=spec --test-reporter-destination=stdout \
            --test-reporter=./support/junit.js --test-reporter-destination="$report"
)

quickstart() {
    quietly "$root/deploy/quickstart.sh" --once </dev/null
}

release_tests() {
    run_pytest release tests/release -n 2
}

# Whether every row of the bench comes out; what the figures are is nobody's business here.
bench_smoke() {
    quietly "$root/tests/bench/run.sh" --smoke --binary "$root/build/release/psgate" \
        --json "$results/bench.json" </dev/null &&
        quietly python3 "$root/tests/bench/scaling.py" "$results/bench.json"
}

# A look in the normal run, the same numbers each time; a minute each in the long one.
fuzz() {
    if $is_long; then
        "$root/tests/fuzz/run.sh" --seconds 60
    else
        "$root/tests/fuzz/run.sh" --seconds 2 --seed 1
    fi
}

models() {
    local options=()
    ! $is_long || options=(--long)
    "$root/tests/model/run.sh" "${options[@]}"
}

lint_scripts() {
    (cd "$root" && shellcheck -x .ci/run deploy/*.sh deploy/lib/*.sh deploy/completions/*.bash deploy/debian/{postinst,prerm,postrm} tests/*.sh tests/*/*.sh tests/*/*/*.sh)
}

memcheck() {
    "$root/tests/memcheck/run.sh" --junitxml "$report" </dev/null
}

static_analysis() {
    "$root/tests/static/run.sh" "$@" </dev/null
}

# keep_off NAME: a package whose program the tests run themselves; its service, which Debian
# would start at once, stays off. Where it is installed already it is left as it is.
keep_off() {
    local unit=/etc/systemd/system/$1.service
    command -v dpkg-query >/dev/null || return 0
    if ! is_installed "$1" && [[ -d ${unit%/*} && ! -e $unit && ! -L $unit ]]; then
        as_root ln -s /dev/null "$unit"
    fi
}

prepare() {
    local packages=("${build_packages[@]}" "${test_packages[@]}")
    ! $is_long || packages+=(buildah valgrind testssl.sh)
    if $is_coverage; then
        packages=("${build_packages[@]}" check python3 gcovr)
        wants_browser=false
    fi
    ! $wants_browser || packages+=(chromium)
    if $wants_browser && ! command -v npm >/dev/null; then
        packages+=(nodejs npm)
    fi
    $is_coverage || keep_off prometheus
    $is_coverage || keep_off redis-server
    need_packages "${packages[@]}"
    results=$root/build/results
    rm -rf "$results"
    mkdir -p "$results"
}

run_stages() {
    local preset
    for preset in dev asan; do
        stage "build ($preset)" build "$preset"
        after "build ($preset)" tested_stage "unit tests ($preset)" unit_tests "$preset"
    done
    for preset in dev asan; do
        after "build ($preset)" \
            tested_stage "end-to-end tests ($preset)" end_to_end_tests "$preset"
    done
    if $is_long; then
        stage "build (tsan)" build tsan
        after "build (tsan)" tested_stage "unit tests (tsan)" unit_tests tsan
        after "build (tsan)" tested_stage "end-to-end tests (tsan)" end_to_end_tests tsan
        after "build (dev)" tested_stage "end-to-end tests (memcheck)" memcheck
    fi
    stage "build (release)" build release
    after "build (dev)" tested_stage "samples and scripts" sample_tests
    if $wants_browser; then
        after "build (dev)" tested_stage "status page in Chromium" browser_tests
    else
        add_line 'LEFT OUT' "status page in Chromium" 0 "--no-browser"
    fi
    after "build (release)" tested_stage "release build" release_tests
    after "build (release)" stage "bench --smoke" bench_smoke
    counted_stage "models of the generations (spin)" models
    counted_stage "fuzzers" fuzz
    stage "quickstart --once" quickstart
    stage "build (clang)" build_with_clang
    stage "cppcheck" static_analysis cppcheck
    if $is_long; then
        stage "gcc -fanalyzer" static_analysis analyzer
        stage "clang-tidy" static_analysis tidy
    fi
    if command -v shellcheck >/dev/null; then
        stage "shellcheck" lint_scripts
    fi
}

# What was counted before is of another build, or of another test.
coverage() {
    find "$root/build/coverage" -name '*.gcda' -delete
    unit_tests coverage
}

coverage_table() {
    quietly gcovr --root "$root" --filter "$root/proxy/" --exclude-throw-branches \
        --json-summary "$results/coverage.json" "$root/build/coverage/proxy" &&
        python3 "$root/tests/coverage/table.py" "$results/coverage.json"
}

run_coverage() {
    stage "build (coverage)" build coverage
    after "build (coverage)" tested_stage "unit tests (coverage)" coverage
    after "unit tests (coverage)" stage "coverage by folder" coverage_table
}

summarise() {
    printf '\n'
    say "Summary"
    printf '%s\n' "${summary[@]}"
    printf '\n%s\n' "$(counted "$passed" "$failed" "$skipped")"
}

read_arguments "$@"
prepare
if $is_coverage; then
    run_coverage
else
    run_stages
fi
summarise
((failed == 0))
