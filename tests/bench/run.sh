#!/usr/bin/env bash
# psgate beside others on the same job: token checked, API key injected, request passed on or
# answered from the cache.
# shellcheck source-path=SCRIPTDIR
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
# shellcheck source=servers.sh
source "$here/servers.sh"
# shellcheck source=pass.sh
source "$here/pass.sh"
# shellcheck source=hit.sh
source "$here/hit.sh"
# shellcheck source=entries.sh
source "$here/entries.sh"
# shellcheck source=audit.sh
source "$here/audit.sh"

bench_packages=(wrk openssl python3 util-linux)

usage() {
    cat <<'END'
Usage: tests/bench/run.sh [OPTIONS]

Measures requests a second and CPU time a request, in turn on one machine: each server with
one worker on core 1; load (wrk) and upstream on core 0; 64 keep-alive connections; a 173-byte
JSON answer; loopback only.

  pass   psgate and nginx pass requests on, to a plain and to a TLS upstream
  hit    psgate, nginx (proxy_cache in memory), HAProxy and Varnish answer from their caches;
         beside them a bare epoll responder: the ceiling of this machine
  audit  psgate passes changes on whose records are made durable, beside ones without a record,
         at 1, 16 and 64 connections; and what the disk does by itself, with 1, 16 and 64
         records a sync. The trail is verified at the end; it takes a few GB until then

Installs nginx, haproxy, varnish and wrk if they are missing (a service that comes with one of
them is stopped and disabled), and builds the release preset.

  --quick         about 150 s (3 rounds of 2 s) instead of 16 minutes (5 rounds of 8 s)
  --only WHAT     pass, hit or audit alone
  --rounds N      so many rounds
  --seconds N     so long each
  --json FILE     write the figures there too
  --disk DIR      the trail's folder is made in this one, on a disk (else: $TMPDIR or /tmp)
  --binary FILE   measure this psgate instead of building one
  --entries       only this: psgate's hits among 1,000 and among 1,000,000 stored answers
                  (700 MB of memory, and a minute to store them)
  --sieve         only this: hit ratios of the cache's eviction beside LRU, on a Zipf trace
  -h, --help      this text
END
}

rounds=5
seconds=8
parts=(pass hit audit)
json=''
binary=''
disk='' # the folder that --disk names
connections=64
server_core=1
load_core=0
sieve_only=false
load_script=$here/wrk.lua
load_arguments=() # for the script

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --quick) rounds=3 seconds=2 ;;
        --sieve) sieve_only=true ;;
        --entries) parts=(entries) ;;
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
    case $1 in
    --only)
        [[ $2 == pass || $2 == hit || $2 == audit ]] || misused "--only takes pass, hit or audit"
        parts=("$2")
        ;;
    --rounds | --seconds)
        [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || misused "$1 takes a number"
        printf -v "${1#--}" '%s' "$2"
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

make_folders() {
    folder=$(mktemp -d "${TMPDIR:-/tmp}/psgate-bench.XXXXXX")
    [[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && -w /dev/shm ]] ||
        die "/dev/shm is not there or not a tmpfs: the caches would be on disk"
    memory=$(mktemp -d /dev/shm/psgate-bench.XXXXXX)
}

install() {
    need_packages "${build_packages[@]}" "${bench_packages[@]}"
    need_server nginx nginx-light nginx
    if [[ " ${parts[*]} " == *' hit '* ]]; then
        need_server haproxy haproxy haproxy
        need_server varnishd varnish varnish varnishncsa
    fi
}

# need_server COMMAND PACKAGE SERVICE...: Debian starts the services with the package; ones that
# were there before are not ours to stop.
need_server() {
    local service
    ! command -v "$1" >/dev/null || return 0
    need_packages "$2"
    for service in "${@:3}"; do
        silence_service "$service"
    done
    note "What the package $2 started is stopped and disabled."
}

silence_service() {
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl --quiet disable --now "$1"
    else
        as_root service "$1" stop >/dev/null 2>&1 || true
        as_root update-rc.d "$1" disable >/dev/null 2>&1 || true
    fi
}

make_programs() {
    if [[ -z $binary ]]; then
        say "Building psgate (build/release)"
        build_preset "$root" release || die "the build failed (what it said is above)"
        binary=$root/build/release/psgate
    fi
    quietly cc -std=c11 -D_GNU_SOURCE -O2 -o "$folder/responder" "$here/responder.c" ||
        die "the responder does not compile"
}

# One authority, and the TLS upstream's certificate.
make_certificates() {
    local options=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    cd "$folder"
    quietly openssl req -x509 "${options[@]}" -keyout ca.key -out ca.pem -days 2 -subj /CN=bench-ca
    quietly openssl req "${options[@]}" -keyout upstream.key -out upstream.csr -subj /CN=localhost
    quietly openssl x509 -req -in upstream.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -out upstream.pem -days 2 -extfile <(echo subjectAltName=DNS:localhost)
    cd - >/dev/null
}

make_key_and_token() {
    key=bench-key-$RANDOM$RANDOM$RANDOM
    (umask 077 && echo "$key" >"$folder/api-key")
    token=$("$binary" token create --clients "$folder/clients.json" --name bench)
}

start_servers() {
    local part
    start_responder "$load_core" "$key"
    responder_pid=$server_pid responder_url=$server_url responder_count=$server_url/count
    body=$(fetch_with "$key" "$responder_url")
    for part in "${parts[@]}"; do
        "start_${part}_servers"
    done
}

# fetch_with TOKEN [OPTION...] URL
fetch_with() {
    curl -q -sS --noproxy '*' -H "Authorization: Bearer $1" "${@:2}"
}

# Whether a server does the job at all: the right token, and the wrong one.
check_job() {
    local got
    got=$(fetch_with "$token" "$1")
    [[ $got == "$body" ]] || die "$1 does not answer with the upstream's body but with: $got"
    got=$(fetch_with wrong -o /dev/null -w '%{http_code}' "$1")
    [[ $got == 401 ]] || die "$1 answers a wrong token with $got"
}

# Nanoseconds on a core, of all the threads of a process: user and system time.
cpu_ns() {
    local file ns rest total=0
    for file in /proc/"$1"/task/*/schedstat; do
        # shellcheck disable=SC2034  # rest takes the other columns
        read -r ns rest <"$file"
        total=$((total + ns))
    done
    echo "$total"
}

# load URL TOKEN SECONDS: "figures REQUESTS P50 P99 ERRORS"
load() {
    taskset -c "$load_core" wrk -t1 -c"$connections" -d"$3s" -s "$load_script" \
        -H "Authorization: Bearer $2" "$1" -- "${load_arguments[@]}" | grep ^figures
}

# reached COUNT-URL: how many requests the upstream has had: a number alone, or the third of
# nginx's three.
reached() {
    curl -q -sS --noproxy '*' --cacert "$folder/ca.pem" "$1" |
        sed -n -E 's/^ *([0-9]+ [0-9]+ )?([0-9]+) *$/\2/p'
}

# measure ROW SERVER PID URL TOKEN: a line more in the file of rounds. Sets measured_requests.
measure() {
    local cpu p50 p99 errors
    cpu=$(cpu_ns "$3")
    read -r _ measured_requests p50 p99 errors <<<"$(load "$4" "$5" "$seconds")"
    cpu=$(($(cpu_ns "$3") - cpu))
    ((errors == 0 && measured_requests > 0)) ||
        die "$2 ($1): $errors of $measured_requests requests went wrong"
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
        "$1" "$2" "$seconds" "$measured_requests" "$cpu" "$p50" "$p99" >>"$folder/rounds"
}

measure_all() {
    local round part
    for part in "${parts[@]}"; do
        "check_${part}_servers"
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

fact() {
    printf '%s\t%s\n' "$1" "$2" >>"$folder/machine"
}

cache_versions() {
    [[ " ${parts[*]} " == *' hit '* ]] || return 0
    haproxy -v | sed -n -E 's/^HAProxy version ([^ ]+).*/, HAProxy \1/p' | tr -d '\n'
    varnishd -V 2>&1 | sed -n -E 's/.*\(varnish-([0-9.]+).*/, Varnish \1/p' | tr -d '\n'
}

describe_machine() {
    local load model
    read -r load _ </proc/loadavg
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    fact machine "$(nproc) cores, ${model:-unknown CPU}, Linux $(uname -r), load $load before"
    fact versions "$("$binary" --version), nginx $(nginx -v 2>&1 | sed 's|.*/||')$(cache_versions), $(
        wrk -v 2>&1 | sed -n 's/ \[.*//p' | head -n 1
    ), $(openssl version | cut -d' ' -f1,2)"
    [[ ${parts[*]} == audit ]] || fact job "GET, $connections keep-alive connections, ${#body}-byte JSON answer, token checked, key injected"
    fact rounds "$rounds of $seconds s each, in turn; median (least to most)"
    [[ $load != [1-9]* ]] || warn "the machine is busy (load $load): the figures will be too"
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

read_arguments "$@"
PATH=$PATH:/usr/sbin:/sbin
trap tidy_up EXIT
if $sieve_only; then
    run_sieve
    exit
fi
(($(nproc) > server_core)) || die "needs two cores"
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
printf '\n'
python3 "$here/report.py" "$folder/rounds" "$folder/machine" ${json:+"$json"}
