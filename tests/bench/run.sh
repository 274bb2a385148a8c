#!/usr/bin/env bash
# psgate beside nginx on the same job: token checked, API key injected, request passed on.
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

bench_packages=(wrk openssl python3 util-linux)

usage() {
    cat <<'END'
Usage: tests/bench/run.sh [OPTIONS]

Measures pass-through requests a second and CPU time a request of psgate and nginx, in turn
on one machine: each with one worker on core 1; load (wrk) and upstream on core 0; 64
keep-alive connections; a 173-byte JSON answer; once with a plain and once with a TLS
upstream. Loopback only. Installs nginx and wrk if they are missing (the nginx service, if
installed here, is stopped and disabled), and builds the release preset.

  --quick         about a minute (3 rounds of 3 s) instead of four (5 rounds of 8 s)
  --rounds N      so many rounds
  --seconds N     so long each
  --json FILE     write the figures there too
  --binary FILE   measure this psgate instead of building one
  -h, --help      this text
END
}

rounds=5
seconds=8
json=''
binary=''
connections=64
path=/v1/teams/bench/secrets # of an operation without a cache rule
server_core=1
load_core=0

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --quick) rounds=3 seconds=3 ;;
        --rounds | --seconds | --json | --binary)
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
    --rounds | --seconds)
        [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || misused "$1 takes a number"
        printf -v "${1#--}" '%s' "$2"
        ;;
    --json) json=$2 ;;
    --binary) binary=$2 ;;
    esac
}

folder=''
servers=() # the pids to end

tidy_up() {
    local pid
    explain_exit "$?"
    for pid in "${servers[@]}"; do
        stop_server "$pid" || true
    done
    [[ -z $folder ]] || rm -rf "$folder"
}

# Debian starts the service with the package; one that was there before is not ours to stop.
install() {
    need_packages "${build_packages[@]}" "${bench_packages[@]}"
    if ! command -v nginx >/dev/null; then
        need_packages nginx-light
        silence_nginx_service
    fi
}

silence_nginx_service() {
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl --quiet disable --now nginx
    else
        as_root service nginx stop >/dev/null 2>&1 || true
        as_root update-rc.d nginx disable >/dev/null
    fi
    note "The nginx service that came with the package is stopped and disabled."
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

# Below the range that the system gives to outgoing connections.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((10000 + RANDOM % 20000))
        if ! is_port_taken 127.0.0.1 "$port"; then
            echo "$port"
            return
        fi
    done
    die "no free port"
}

start_responder() {
    start_server "$folder" taskset -c "$load_core" "$folder/responder" "$key" ||
        die "the responder did not start"
    servers+=("$server_pid")
    responder_pid=$server_pid
    responder_url=$server_url
}

# What every nginx here has in common; the rest of "http" is on standard input. Root's worker
# stays root: the folder is private.
write_nginx_config() {
    local user=''
    ((EUID != 0)) || user='user root;'
    cat >"$folder/$1.conf" <<END
$user
daemon off;
worker_processes 1;
pid $folder/$1.pid;
error_log $folder/$1.log crit;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $folder/$1-body;
    proxy_temp_path $folder/$1-proxy;
    fastcgi_temp_path $folder/$1-fastcgi;
    uwsgi_temp_path $folder/$1-uwsgi;
    scgi_temp_path $folder/$1-scgi;
    keepalive_requests 1000000000;
    map_hash_bucket_size 256;
$(cat)
}
END
}

# start_nginx NAME CORE: waits for its worker, which it makes once it listens. Sets
# nginx_worker_pid.
start_nginx() {
    local pid
    taskset -c "$2" nginx -e "$folder/$1.log" -c "$folder/$1.conf" </dev/null &
    pid=$!
    servers+=("$pid")
    for _ in {1..200}; do
        nginx_worker_pid=$(tr -d ' ' 2>/dev/null <"/proc/$pid/task/$pid/children") || break
        [[ -z $nginx_worker_pid ]] || return 0
        sleep 0.05
    done
    cat "$folder/$1.log" >&2
    die "nginx ($1) did not start"
}

# The responder has no TLS: nginx stands in, with the same answer to the same key.
start_tls_upstream() {
    tls_port=$(free_port)
    write_nginx_config upstream <<END
    server {
        listen 127.0.0.1:$tls_port ssl;
        ssl_certificate $folder/upstream.pem;
        ssl_certificate_key $folder/upstream.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        default_type application/json;
        location / {
            if (\$http_authorization != "Bearer $key") { return 401; }
            return 200 '$body';
        }
        location = /count { stub_status; }
    }
END
    start_nginx upstream "$load_core"
}

start_nginx_proxy() {
    nginx_plain_port=$(free_port)
    nginx_tls_port=$(free_port)
    write_nginx_config proxy <<END
    map \$http_authorization \$is_known { default 0; "Bearer $token" 1; }
    upstream plain { server ${responder_url#http://}; keepalive 64; keepalive_requests 1000000000; }
    upstream tls { server 127.0.0.1:$tls_port; keepalive 64; keepalive_requests 1000000000; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Authorization "Bearer $key";
    server {
        listen 127.0.0.1:$nginx_plain_port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_pass http://plain;
        }
    }
    server {
        listen 127.0.0.1:$nginx_tls_port;
        location / {
            if (\$is_known = 0) { return 401; }
            proxy_pass https://tls;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_trusted_certificate $folder/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_verify on;
            proxy_ssl_session_reuse on;
        }
    }
END
    start_nginx proxy "$server_core"
    nginx_pid=$nginx_worker_pid
    nginx_plain_url=http://127.0.0.1:$nginx_plain_port
    nginx_tls_url=http://127.0.0.1:$nginx_tls_port
}

# start_psgate NAME UPSTREAM-MEMBERS
start_psgate() {
    cat >"$folder/$1.json" <<END
{
  "listen": [{ "address": "127.0.0.1:0" }],
  "workers": 1,
  "upstream": { $2 },
  "credentials": { "default": { "api_key_file": "api-key" } },
  "clients_file": "clients.json",
  "log": { "level": "warn", "access": false }
}
END
    start_server "$folder" taskset -c "$server_core" "$binary" serve -c "$folder/$1.json" ||
        die "psgate did not start (its own words are above)"
    servers+=("$server_pid")
}

start_servers() {
    start_responder
    body=$(curl -q -sS --noproxy '*' -H "Authorization: Bearer $key" "$responder_url")
    start_tls_upstream
    start_nginx_proxy
    start_psgate plain "\"url\": \"$responder_url\""
    psgate_plain_pid=$server_pid psgate_plain_url=$server_url
    start_psgate tls "\"url\": \"https://localhost:$tls_port\", \"ca_file\": \"ca.pem\""
    psgate_tls_pid=$server_pid psgate_tls_url=$server_url
    plain_count=$responder_url/count
    tls_count=https://localhost:$tls_port/count
}

# Whether a server does the job at all: the right token, and the wrong one.
check_job() {
    local url=$1 got
    got=$(curl -q -sS --noproxy '*' -H "Authorization: Bearer $token" "$url$path")
    [[ $got == "$body" ]] || die "$url does not answer with the upstream's body but with: $got"
    got=$(curl -q -sS --noproxy '*' -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' \
        "$url$path")
    [[ $got == 401 ]] || die "$url answers a wrong token with $got"
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

# load URL TOKEN SECONDS: "figures REQUESTS P99 ERRORS"
load() {
    taskset -c "$load_core" wrk -t1 -c"$connections" -d"$3s" -s "$here/wrk.lua" \
        -H "Authorization: Bearer $2" "$1$path" | grep ^figures
}

# reached COUNT-URL: how many requests the upstream has had: a number alone, or the third of
# nginx's three.
reached() {
    curl -q -sS --noproxy '*' --cacert "$folder/ca.pem" "$1" |
        sed -n -E 's/^ *([0-9]+ [0-9]+ )?([0-9]+) *$/\2/p'
}

# measure ROW SERVER PID URL COUNT-URL [TOKEN]: a line more in the file of rounds. What was
# not passed on does not count: that each request reached the upstream is checked.
measure() {
    local cpu arrived requests p99 errors
    arrived=$(reached "$5")
    cpu=$(cpu_ns "$3")
    read -r _ requests p99 errors <<<"$(load "$4" "${6:-$token}" "$seconds")"
    cpu=$(($(cpu_ns "$3") - cpu))
    arrived=$(($(reached "$5") - arrived))
    ((errors == 0 && requests > 0)) || die "$2 ($1): $errors of $requests requests went wrong"
    ((arrived >= requests)) || die "$2 ($1): only $arrived of $requests requests reached the upstream"
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' \
        "$1" "$2" "$seconds" "$requests" "$cpu" "$p99" >>"$folder/rounds"
}

measure_all() {
    local round url
    for url in "$psgate_plain_url" "$nginx_plain_url" "$psgate_tls_url" "$nginx_tls_url"; do
        check_job "$url"
        load "$url" "$token" 1 >/dev/null
    done
    for ((round = 1; round <= rounds; round++)); do
        note "round $round of $rounds"
        measure "plain upstream" psgate "$psgate_plain_pid" "$psgate_plain_url" "$plain_count"
        measure "plain upstream" nginx "$nginx_pid" "$nginx_plain_url" "$plain_count"
        measure "TLS upstream" psgate "$psgate_tls_pid" "$psgate_tls_url" "$tls_count"
        measure "TLS upstream" nginx "$nginx_pid" "$nginx_tls_url" "$tls_count"
        measure "no proxy (ceiling)" responder "$responder_pid" "$responder_url" "$plain_count" "$key"
    done
}

fact() {
    printf '%s\t%s\n' "$1" "$2" >>"$folder/machine"
}

describe_machine() {
    local load model
    read -r load _ </proc/loadavg
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    fact machine "$(nproc) cores, ${model:-unknown CPU}, Linux $(uname -r), load $load before"
    fact versions "$("$binary" --version), nginx $(nginx -v 2>&1 | sed 's|.*/||'), $(wrk -v 2>&1 |
        sed -n 's/ \[.*//p' | head -n 1), $(openssl version | cut -d' ' -f1,2)"
    fact job "GET, $connections keep-alive connections, ${#body}-byte JSON answer, token checked, key injected"
    fact rounds "$rounds of $seconds s each, in turn; median (least to most)"
    [[ $load != [1-9]* ]] || warn "the machine is busy (load $load): the figures will be too"
}

read_arguments "$@"
PATH=$PATH:/usr/sbin:/sbin
trap tidy_up EXIT
(($(nproc) > server_core)) || die "needs two cores"
folder=$(mktemp -d "${TMPDIR:-/tmp}/psgate-bench.XXXXXX")
install
make_programs
make_certificates
make_key_and_token
start_servers
describe_machine
say "Measuring: $rounds rounds of 5 times $seconds s"
measure_all
printf '\n'
python3 "$here/report.py" "$folder/rounds" "$folder/machine" ${json:+"$json"}
