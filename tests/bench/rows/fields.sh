# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "hit, N fields": hits whose requests have so many header fields more; and "hit, limits": hits of
# a client with a rate, a burst and a concurrency, among a hundred such.

fields_measurements=4 # a round

start_fields() {
    need_cache psgate
    python3 "$here/tools/clients.py" "$folder/clients.json" "$folder/clients-limits.json" 100 --limits
    local psgate_clients=clients-limits.json psgate_limits=$psgate_limits', "upstream_rate": "1000000/s"'
    start_psgate limits "\"url\": \"$responder_url\"" '"operations_file": "operations.json",'
    limits_pid=$server_pid limits_url=$server_url
}

check_fields() {
    check_cache "${cache_url[psgate]}"
    check_cache "$limits_url"
}

measure_fields_round() {
    local count number load_fields
    for count in 0 50 100; do
        load_fields=()
        for ((number = 0; number < count; number++)); do
            load_fields+=(-H "X-Bench-Field-$number: and its value")
        done
        measure_hits "hit, $count fields" psgate "${cache_pid[psgate]}" "${cache_url[psgate]}$hit_path" "$token"
    done
    load_fields=()
    measure_hits "hit, limits" psgate "$limits_pid" "$limits_url$hit_path" "$token"
}
