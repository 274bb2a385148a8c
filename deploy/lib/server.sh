# shellcheck shell=bash
# Servers that say "listening on URL" once they accept: psgate, and the tests' own. Sourced.

listen_deadline_seconds=15

# start_server FOLDER COMMAND...: starts it in the background and waits for that line. Sets
# server_pid and server_url; fails when it ended or kept silent, and is then gone. FOLDER is
# a scratch place.
start_server() {
    local fifo=$1/listening line='' ready
    shift
    server_pid='' server_url=''
    mkfifo -m 0600 "$fifo"
    # In a process group of its own, so that Ctrl-C reaches it through us, once.
    set -m
    "$@" </dev/null >"$fifo" &
    server_pid=$!
    set +m
    # Stays open: what a server prints later must not meet a closed pipe.
    exec {ready}<"$fifo"
    rm -f "$fifo"
    if read -r -t "$listen_deadline_seconds" -u "$ready" line && [[ $line == 'listening on '* ]]; then
        # shellcheck disable=SC2034  # for the caller
        server_url=${line#listening on }
        return 0
    fi
    stop_server "$server_pid" || true
    server_pid=''
    return 1
}

# stop_server PID: the polite way; its exit status.
stop_server() {
    kill -TERM "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null
}

# is_port_taken ADDRESS PORT: whether somebody accepts there.
is_port_taken() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}
