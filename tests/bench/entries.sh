# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "1,000 of ...", "all of ...": cache hits beside many stored answers. Sourced by run.sh.
# Two psgates with the same operation table hold a thousand and a million answers, fetched
# through them; wrk asks at random for the first thousand of each, and for any of the million.

entries_measurements=3 # a round
entries_few=1000
entries_many=1000000

start_entries_servers() {
    local more='"operations_file": "operations.json", "cache": { "memory": "2GiB" },'
    cat >"$folder/operations.json" <<END_OF_TABLE
{ "operations": [ { "id": "getThing", "method": "GET", "path": "/v1/things/{id}",
                    "cache": { "scope": "things", "ttl": "1h" } } ] }
END_OF_TABLE
    load_script=$here/entries.lua
    start_psgate few "\"url\": \"$responder_url\"" "$more"
    psgate_few_pid=$server_pid psgate_few_url=$server_url
    start_psgate many "\"url\": \"$responder_url\"" "$more"
    psgate_many_pid=$server_pid psgate_many_url=$server_url
}

# fill URL COUNT: asks for one after the other until the upstream has been asked for each.
fill() {
    local before pid
    before=$(reached "$responder_count")
    load_arguments=("$2" in-order)
    load "$1" "$token" 600 >/dev/null &
    pid=$!
    while (($(reached "$responder_count") - before < $2)); do
        kill -0 "$pid" 2>/dev/null || die "the cache was not filled"
        sleep 0.2
    done
    kill -INT "$(first_child "$pid")" # wrk itself, which then ends as after its time
    wait "$pid"
}

check_entries_servers() {
    check_job "$psgate_few_url/v1/things/0000000"
    check_job "$psgate_many_url/v1/things/0000000"
    fill "$psgate_few_url" "$entries_few"
    fill "$psgate_many_url" "$entries_many"
    fact entries "$(memory_of "$psgate_few_pid") and $(memory_of "$psgate_many_pid") resident"
}

memory_of() {
    sed -n -E 's/^VmRSS:\s+([0-9]+)[0-9]{3} kB$/\1 MB/p' "/proc/$1/status"
}

# measure_entries ROW PID URL KEYS: every answer must be a hit.
measure_entries() {
    local before
    before=$(reached "$responder_count")
    load_arguments=("$4" at-random)
    measure "$1" psgate "$2" "$3" "$token"
    (($(reached "$responder_count") - before == 1)) || die "$1: not each answer was a hit"
}

measure_entries_round() {
    measure_entries "1,000 of 1,000" "$psgate_few_pid" "$psgate_few_url" "$entries_few"
    measure_entries "1,000 of 10^6" "$psgate_many_pid" "$psgate_many_url" "$entries_few"
    measure_entries "all of 10^6" "$psgate_many_pid" "$psgate_many_url" "$entries_many"
}
