# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "hit, TLS": as "hit", over TLS 1.3 with the same certificate and cipher.

hit_tls_measurements=3 # a round

start_hit_tls() {
    need_cache psgate nginx haproxy
}

check_hit_tls() {
    local name
    for name in psgate nginx haproxy; do
        check_cache "${cache_tls_url[$name]}"
    done
    check_tls_alike psgate nginx haproxy
}

measure_hit_tls_round() {
    local name
    for name in psgate nginx haproxy; do
        measure_hits "hit, TLS" "$name" "${cache_pid[$name]}" "${cache_tls_url[$name]}$hit_path" "$token"
    done
}
