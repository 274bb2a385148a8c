# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "hit, half rate", "hit, same rate": how long a hit takes at a given rate. Requests are due at
# random moments whether or not others have been answered, and count from then. First at half of
# the highest rate of each server, then at half of the lower of the two for both.

latency_measurements=6 # a round, of which two are short

start_latency() {
    need_cache psgate nginx
}

check_latency() {
    check_cache "${cache_url[psgate]}"
    check_cache "${cache_url[nginx]}"
}

# highest_rate SERVER: with the load that is used afterwards.
highest_rate() {
    local requests us
    read -r _ requests _ _ _ us _ <<<"$(
        load_own "${cache_url[$1]}$hit_path" "$token" "$(compute %.3f "$seconds / 2")"
    )"
    compute %d "$requests * 1e6 / $us"
}

# measure_latency ROW SERVER RATE
measure_latency() {
    measure_hits "$1" "$2" "${cache_pid[$2]}" "${cache_url[$2]}$hit_path" "$token" -r "$3"
    record "$1" "$2" asked_per_s "$3"
}

measure_latency_round() {
    local name lower rates=()
    for name in psgate nginx; do
        rates+=("$(highest_rate "$name")")
    done
    lower=$((rates[0] < rates[1] ? rates[0] : rates[1]))
    measure_latency "hit, half rate" psgate $((rates[0] / 2))
    measure_latency "hit, half rate" nginx $((rates[1] / 2))
    measure_latency "hit, same rate" psgate $((lower / 2))
    measure_latency "hit, same rate" nginx $((lower / 2))
}
