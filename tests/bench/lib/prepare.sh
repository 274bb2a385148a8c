# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# What must be there before anything starts: folders, packages, programs, certificates, a key and
# a token. Sourced by run.sh.

bench_packages=(wrk openssl python3 util-linux)

make_folders() {
    folder=$(mktemp -d "${TMPDIR:-/tmp}/psgate-bench.XXXXXX")
    [[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && -w /dev/shm ]] ||
        die "/dev/shm is not there or not a tmpfs: the caches would be on disk"
    memory=$(mktemp -d /dev/shm/psgate-bench.XXXXXX)
}

install() {
    need_packages "${build_packages[@]}" "${bench_packages[@]}"
    need_server nginx nginx-light nginx
    need_server haproxy haproxy haproxy
    need_server varnishd varnish varnish varnishncsa
    need_server redis-server redis-server redis-server
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

# compile NAME LIBRARY...: one of the bench's own programs, from tools/NAME*.c.
compile() {
    quietly cc -std=c11 -D_GNU_SOURCE -O2 -o "$folder/$1" "$here/tools/$1"*.c "${@:2}" ||
        die "tools/$1 does not compile"
}

make_programs() {
    if [[ -z $binary ]]; then
        say "Building psgate (build/release)"
        build_preset "$root" release || die "the build failed (what it said is above)"
        binary=$root/build/release/psgate
    fi
    compile responder
    compile load -lssl -lcrypto -lm
}

# One authority, and a certificate (ECDSA P-256) for all that speak TLS here.
make_certificates() (
    options=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    cd "$folder" || exit
    quietly openssl req -x509 "${options[@]}" -keyout ca.key -out ca.pem -days 2 -subj /CN=bench-ca
    quietly openssl req "${options[@]}" -keyout server.key -out server.csr -subj /CN=localhost
    quietly openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -out server.pem -days 2 -extfile <(echo subjectAltName=DNS:localhost)
    cat server.pem server.key >both.pem # as HAProxy likes it
)

make_key_and_token() {
    key=bench-key-$RANDOM$RANDOM$RANDOM
    (umask 077 && echo "$key" >"$folder/api-key")
    token=$("$binary" token create --clients "$folder/clients.json" --name bench)
}

# One operation with a cache rule: an answer lasts an hour.
write_operations() {
    cat >"$folder/operations.json" <<END_OF_TABLE
{ "operations": [ { "id": "getSession", "method": "GET", "path": "$hit_path",
                    "cache": { "scope": "session", "ttl": "1h" } },
                  { "id": "getThing", "method": "GET", "path": "/v1/things/{id}",
                    "cache": { "scope": "things", "ttl": "1h" } } ] }
END_OF_TABLE
}

server_versions() {
    nginx -v 2>&1 | sed -n 's|.*/|nginx |p' | tr -d '\n'
    haproxy -v | sed -n -E 's/^HAProxy version ([^ ]+).*/, HAProxy \1/p' | tr -d '\n'
    varnishd -V 2>&1 | sed -n -E 's/.*\(varnish-([0-9.]+).*/, Varnish \1/p' | tr -d '\n'
}

fact() {
    printf '%s\t%s\n' "$1" "$2" >>"$folder/machine"
}

describe_machine() {
    local load model
    read -r load _ </proc/loadavg
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    fact machine "$(nproc) cores, ${model:-unknown CPU}, Linux $(uname -r), load $load before"
    fact versions "$("$binary" --version), $(server_versions), $(
        wrk -v 2>&1 | sed -n 's/ \[.*//p' | head -n 1
    ), $(openssl version | cut -d' ' -f1,2)"
    fact job "$connections keep-alive connections, ${#body}-byte JSON answer, token checked, key injected; psgate with audit and metrics"
    fact rounds "$rounds of $seconds s each, in turn; median (least to most)"
    [[ $load != [1-9]* ]] || warn "the machine is busy (load $load): the figures will be too"
}
