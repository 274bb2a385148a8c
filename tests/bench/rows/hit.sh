# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "hit": each request is answered from memory. Beside the caches a bare epoll responder, the
# ceiling of this machine, which takes the token itself and runs where the caches run.

hit_measurements=5 # a round

start_hit() {
    need_cache psgate nginx haproxy varnish
    start_responder "$server_core" "$token"
    cache_pid[responder]=$server_pid cache_url[responder]=$server_url
}

check_hit() {
    local name status
    for name in psgate nginx haproxy varnish; do
        check_cache "${cache_url[$name]}"
    done
    status=$(fetch_with "$token" -D - -o /dev/null "${cache_url[psgate]}$hit_path" |
        sed -n 's/\r$//; s/^cache-status: *//Ip')
    [[ $status == 'psgate; hit'* ]] || die "psgate calls its hit: ${status:-nothing}"
    check_job "${cache_url[responder]}$hit_path"
}

measure_hit_round() {
    local name
    for name in psgate nginx haproxy varnish responder; do
        measure_hits hit "$name" "${cache_pid[$name]}" "${cache_url[$name]}$hit_path" "$token"
    done
}
