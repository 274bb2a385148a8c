# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "304": as "hit", from clients that have the answer already and say so (If-None-Match).
# wrk waits for a body where a 304 has a Content-Length, as it may: the load is our own.

not_modified_measurements=3 # a round
declare -A not_modified_bytes
not_modified_fields=(-H 'If-None-Match: "bench"')

start_not_modified() {
    need_cache psgate nginx haproxy
}

check_not_modified() {
    local name status bytes
    for name in psgate nginx haproxy; do
        check_cache "${cache_url[$name]}"
        read -r status bytes < <(fetch_with "$token" "${not_modified_fields[@]}" -o /dev/null \
            -w '%{http_code} %{size_header}\n' "${cache_url[$name]}$hit_path")
        not_modified_bytes[$name]=$bytes
        [[ $status == 304 ]] || die "$name answers If-None-Match with $status"
    done
}

# With a body they would be longer; the field Age may gain a digit or two.
measure_not_modified_round() {
    local name load_fields=("${not_modified_fields[@]}")
    for name in psgate nginx haproxy; do
        measure_hits 304 "$name" "${cache_pid[$name]}" "${cache_url[$name]}$hit_path" "$token" -X GET
        ((measured_bytes / measured_requests < not_modified_bytes[$name] + 8)) ||
            die "$name: $((measured_bytes / measured_requests)) bytes an answer are no 304"
    done
}
