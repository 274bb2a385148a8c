# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "idle", "idle, TLS": the memory of a connection that has had one answer and is kept. Each time
# a server that is new but for 64 such connections, so that nothing freed before is used again.
# What a server sets aside for its most connections (nginx: 424 bytes each) is not in it.

idle_measurements=6 # a round
idle_connections=8000

start_idle() { :; }

check_idle() { :; }

# hold COUNT URL: opens so many; sets holder, which holds them until release.
hold() {
    local line=''
    coproc HOLDER {
        exec taskset -c "$load_core" "$folder/load" -k -c "$1" -H "Authorization: Bearer $token" "$2$hit_path"
    }
    # shellcheck disable=SC2153  # coproc sets it
    holder=$HOLDER_PID
    read -r line <&"${HOLDER[0]}" || true
    [[ $line == "open $1" ]] || die "$2 did not take $1 connections"
}

release() {
    local input=${HOLDER[1]}
    exec {input}>&-
    wait "$holder"
}

# measure_idle ROW SERVER URL
measure_idle() {
    local before after
    hold 64 "$3"
    release
    before=$(pss_kib "${cache_pid[$2]}")
    hold "$idle_connections" "$3"
    after=$(pss_kib "${cache_pid[$2]}")
    release
    record "$1" "$2" kib_per_connection "$(compute %.3f "($after - $before) / $idle_connections")"
}


measure_idle_round() {
    local name
    local -A cache_pid=() cache_url=() cache_tls_url=()
    for name in psgate nginx haproxy; do
        "start_cache_$name" "idle-$name"
        measure_idle idle "$name" "${cache_url[$name]}"
        end_server "${servers[-1]}" || true
    done
    for name in psgate nginx haproxy; do
        "start_cache_$name" "idle-$name"
        measure_idle "idle, TLS" "$name" "${cache_tls_url[$name]}"
        end_server "${servers[-1]}" || true
    done
}
