#!/usr/bin/env bash
# psgate beside others on the same job: token checked, API key injected, request passed on or
# answered from the cache; and psgate beside itself under other conditions.
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2154  # the variables that the files share
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../../deploy/lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=../../deploy/lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=../../deploy/lib/build.sh
source "$root/deploy/lib/build.sh"
# shellcheck source=../../deploy/lib/server.sh
source "$root/deploy/lib/server.sh"
for file in "$here"/lib/*.sh "$here"/rows/*.sh; do
    # shellcheck source=/dev/null
    source "$file"
done

# In the order of the table; "flags" is asked for by name.
all_parts=(hit hit_tls not_modified pass bodies handshakes latency audit idle entries workers fields
    cluster start)

usage() {
    cat <<'END'
Usage: tests/bench/run.sh [OPTIONS]

Measures CPU time a request, requests a second and latency, in turn on one machine: each server
with one worker on core 1; load and upstream on core 0; 64 keep-alive connections; a 173-byte
JSON answer; loopback only. psgate with token check, audit and metrics on; access logs off.
A table of all figures, then one of the aims: its exit status does not depend on speed.

  hit           psgate, nginx (proxy_cache in memory), HAProxy and Varnish answer from their
                caches; beside them a bare epoll responder: the ceiling of this machine
  hit_tls       the same over TLS 1.3            not_modified  304 to If-None-Match
  pass          passed on to a plain and to a TLS upstream    bodies  1 MiB, each way
  handshakes    a new TLS connection for each request, new and resumed sessions
  latency       hits at half of the highest rate, whatever the answers take
  audit         changes whose records are made durable, beside ones without a record, at 1,
                16 and 64 connections; and what the disk does by itself. The trail is verified
                at the end; it takes a few GB until then
  idle          memory of a connection that is kept
  entries       10,000 clients and 1,000,000 stored answers, beside one of each (2 GB of
                memory, and half a minute to store them)
  workers       two workers, beside one           fields  50 and 100 header fields; limits
  cluster       hits of a gateway in a cluster (Redis), beside one alone
  start         from exec to the first answer, and the memory then

Installs nginx, haproxy, varnish, redis-server and wrk if they are missing (a service that comes with one of
them is stopped and disabled), and builds the release preset.

  --quick         a minute or two (3 rounds of 0.25 s, 50,000 answers, 2,000 idle connections) instead
                  of 50 minutes (5 rounds of 8 s)
  --smoke         whether every row comes out: one round of 0.1 s, small counts
  --only WHAT     these alone, with commas between
  --flags         only this: hits and pass-through by psgates built without one of the
                  compiler's protections each, and without LTO
  --rounds N      so many rounds
  --seconds N     so long each
  --json FILE     write the figures there too (tests/bench/scaling.py reads them)
  --disk DIR      the trail's folder is made in this one, on a disk (else: $TMPDIR or /tmp)
  --binary FILE   measure this psgate instead of building one
  --sieve         only this: hit ratios of the cache's eviction beside LRU, on a Zipf trace
  -h, --help      this text
END
}

rounds=5
seconds=8
parts=("${all_parts[@]}")
json=''
binary=''
disk='' # the folder that --disk names
connections=64
server_core=1
load_core=0
many_clients=10000
many_entries=1000000
sieve_only=false
is_smoke=false
wrk_threads=1
load_script=$here/lua/wrk.lua
load_arguments=() # for the script
load_fields=()    # options -H

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --quick) rounds=3 seconds=0.25 many_entries=50000 idle_connections=2000 ;;
        --smoke) is_smoke=true rounds=1 seconds=0.1 many_entries=2000 many_clients=1200 idle_connections=200 ;;
        --sieve) sieve_only=true ;;
        --flags) parts=(flags) ;;
        --only | --rounds | --seconds | --json | --binary | --disk)
            [[ -n ${2:-} ]] || misused "$1 needs a value"
            take_option "$1" "$2"
            shift
            ;;
        -h | --help)
            usage
            exit
            ;;
        *) misused "unknown option: $1" ;;
        esac
        shift
    done
}

take_option() {
    local part
    case $1 in
    --only)
        IFS=, read -r -a parts <<<"$2"
        for part in "${parts[@]}"; do
            [[ " ${all_parts[*]} " == *" $part "* ]] || misused "--only takes some of: ${all_parts[*]}"
        done
        ;;
    --rounds)
        [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || misused "$1 takes a number"
        rounds=$2
        ;;
    --seconds)
        [[ $2 =~ ^[0-9]{1,4}(\.[0-9]+)?$ && $2 =~ [1-9] ]] || misused "$1 takes a number"
        seconds=$2
        ;;
    --json) json=$2 ;;
    --binary) binary=$2 ;;
    --disk)
        [[ -d $2 && -w $2 ]] || misused "--disk takes a folder that can be written"
        disk=$(cd "$2" && pwd)
        ;;
    esac
}

folder=''
memory=''      # a folder on tmpfs
disk_folder='' # one in what --disk names
servers=()     # the pids to end

tidy_up() {
    local pid
    explain_exit "$?"
    for pid in "${servers[@]}"; do
        stop_server "$pid" || true
    done
    [[ -z $folder ]] || rm -rf "$folder"
    [[ -z $memory ]] || rm -rf "$memory"
    [[ -z $disk_folder ]] || rm -rf "$disk_folder"
}

start_servers() {
    local part
    start_responder "$load_core" "$key"
    responder_pid=$server_pid responder_url=$server_url responder_count=$server_url/count
    body=$(fetch_with "$key" "$responder_url")
    write_operations
    for part in "${parts[@]}"; do
        "start_$part"
    done
}

measure_all() {
    local round part
    for part in "${parts[@]}"; do
        "check_$part"
    done
    for ((round = 1; round <= rounds; round++)); do
        note "round $round of $rounds"
        for part in "${parts[@]}"; do
            "measure_${part}_round"
        done
    done
}

measurements() {
    local part name total=0
    for part in "${parts[@]}"; do
        name=${part}_measurements
        total=$((total + ${!name}))
    done
    echo "$total"
}

# The build of the tests has a folder of its own: other presets stay as they are.
run_sieve() {
    local build=$root/build/bench
    need_packages "${build_packages[@]}" check
    say "Building bench_sieve (build/bench)"
    (cd "$root" && quietly cmake --preset release -B "$build" -DPSGATE_TESTS=ON) ||
        die "the build failed (what it said is above)"
    cmake --build "$build" --target help | grep -q '^bench_sieve:' ||
        die "tests/CMakeLists.txt has no target bench_sieve"
    quietly cmake --build "$build" --target bench_sieve || die "the build failed (what it said is above)"
    "$build/tests/bench_sieve"
}

report() {
    local complete=''
    [[ ${parts[*]} != "${all_parts[*]}" ]] || complete=--complete
    printf '\n'
    python3 "$here/report.py" "$folder/figures" "$folder/machine" ${complete:+"$complete"} ${json:+--json "$json"}
}

read_arguments "$@"
PATH=$PATH:/usr/sbin:/sbin
trap tidy_up EXIT
if $sieve_only; then
    run_sieve
    exit
fi
if (($(nproc) == 1)); then
    $is_smoke || die "needs two cores"
    server_core=0
fi
make_folders
install
make_programs
make_certificates
make_key_and_token
start_servers
describe_machine
say "Measuring: $rounds rounds of $(measurements) times $seconds s"
measure_all
[[ " ${parts[*]} " != *' audit '* ]] || finish_audit
report
