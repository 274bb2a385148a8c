# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "TLS, new", "TLS, resumed": a connection, a handshake (TLS 1.3, ECDSA P-256), one hit, the
# end; 64 at a time. A client's half of a full handshake takes longer than the server's, and it
# has one core: what a server could do is told by its CPU (connections_per_cpu_s).

handshakes_measurements=6 # a round

start_handshakes() {
    need_cache psgate nginx haproxy
}

check_handshakes() {
    local name
    for name in psgate nginx haproxy; do
        check_cache "${cache_tls_url[$name]}"
    done
    check_tls_alike psgate nginx haproxy
}

# measure_handshakes ROW SERVER [OPTION...]
measure_handshakes() {
    measure_hits "$1" "$2" "${cache_pid[$2]}" "${cache_tls_url[$2]}$hit_path" "$token" -n "${@:3}"
    record "$1" "$2" connections_per_cpu_s "$(compute %.1f "$measured_requests * 1e9 / $measured_cpu_ns")"
}

# The first connection in each of the places has nothing to resume.
measure_handshakes_round() {
    local name
    for name in psgate nginx haproxy; do
        measure_handshakes "TLS, new" "$name"
        ((measured_resumed == 0)) || die "$name: $measured_resumed of the new connections were resumed"
    done
    for name in psgate nginx haproxy; do
        measure_handshakes "TLS, resumed" "$name" -s
        ((measured_resumed >= measured_requests - connections)) ||
            die "$name: only $measured_resumed of $measured_requests connections were resumed"
    done
}
