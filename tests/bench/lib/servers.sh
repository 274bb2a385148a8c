# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Starting what is measured, and what it is measured with. Sourced by run.sh: the pids of all
# go into "servers".

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

# The oldest child of a process, if it has any.
first_child() {
    local children=''
    read -r children _ 2>/dev/null <"/proc/$1/task/$1/children" || true
    echo "$children"
}

# start_responder CORE CREDENTIAL: sets server_pid and server_url.
start_responder() {
    start_server "$folder" taskset -c "$1" "$folder/responder" "$2" ||
        die "the responder did not start"
    servers+=("$server_pid")
}

# start_on_port NAME PORT COMMAND...: one that does not say when it listens, on the servers'
# core. Sets server_pid.
start_on_port() {
    local name=$1 port=$2
    shift 2
    taskset -c "$server_core" "$@" </dev/null >"$folder/$name.log" 2>&1 &
    server_pid=$!
    servers+=("$server_pid")
    for _ in {1..300}; do
        kill -0 "$server_pid" 2>/dev/null || break
        ! is_port_taken 127.0.0.1 "$port" || return 0
        sleep 0.05
    done
    cat "$folder/$name.log" >&2
    die "$name did not start"
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
worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http {
    access_log off;
    client_body_temp_path $folder/$1-body;
    proxy_temp_path $folder/$1-proxy;
    fastcgi_temp_path $folder/$1-fastcgi;
    uwsgi_temp_path $folder/$1-uwsgi;
    scgi_temp_path $folder/$1-scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    ssl_certificate $folder/server.pem;
    ssl_certificate_key $folder/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    map_hash_bucket_size 256;
$(cat)
}
END
}

# start_nginx NAME CORE: waits for its worker, which it makes once it listens, and before any
# helper of a cache. Sets nginx_worker_pid.
start_nginx() {
    local pid
    taskset -c "$2" nginx -e "$folder/$1.log" -c "$folder/$1.conf" </dev/null &
    pid=$!
    servers+=("$pid")
    for _ in {1..200}; do
        kill -0 "$pid" 2>/dev/null || break
        nginx_worker_pid=$(first_child "$pid")
        [[ -z $nginx_worker_pid ]] || return 0
        sleep 0.05
    done
    cat "$folder/$1.log" >&2
    die "nginx ($1) did not start"
}

# What may differ from one psgate to the next, for whoever starts one: set as locals.
psgate_workers=1
psgate_clients=clients.json
psgate_limits='"connections": 15000, "keepalive_timeout": "1h"'

# start_psgate NAME UPSTREAM-MEMBERS [MORE]: MORE is members of the configuration, each with
# its comma; a trail of its own unless they have one. Metrics are on, and TLS is on a port of its
# own. Sets server_pid, server_url and server_tls_url.
start_psgate() {
    local port
    port=$(free_port)
    write_psgate_config "$1" "$2" "${3:-}" "$port"
    start_server "$folder" taskset -c "$server_core" "$binary" serve -c "$folder/$1.json" ||
        die "psgate did not start (its own words are above)"
    servers+=("$server_pid")
    server_tls_url=https://localhost:$port
}

# write_psgate_config NAME UPSTREAM-MEMBERS MORE TLS-PORT [PLAIN-PORT]
write_psgate_config() {
    local more=$3
    [[ $more == *'"audit":'* ]] || more+="\"audit\": { \"directory\": \"trail-$1\" },"
    cat >"$folder/$1.json" <<END
{
  "listen": [{ "address": "127.0.0.1:${5:-0}" },
             { "address": "127.0.0.1:$4",
               "tls": { "certificate": "server.pem", "private_key": "server.key" } }],
  "admin": { "address": "unix:$folder/$1.sock" },
  "workers": $psgate_workers, $more
  "upstream": { $2 },
  "credentials": { "default": { "api_key_file": "api-key" } },
  "clients_file": "$psgate_clients",
  "limits": { $psgate_limits },
  "log": { "level": "warn", "access": false }
}
END
}

# end_server PID: one that is not needed any more; its exit status.
end_server() {
    local pid others=()
    for pid in "${servers[@]}"; do
        ((pid == $1)) || others+=("$pid")
    done
    servers=("${others[@]}")
    stop_server "$1"
}
