# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "... of many": hits where 10,000 clients are configured and 1,000,000 answers are stored, beside
# "1 of 1", where it is one of each. Asked for are: one answer by one client; a thousand of them
# by a thousand clients; any of them by any client. All answers were fetched through the gateway.

entries_measurements=4 # a round
entries_hot=1000

start_entries() {
    local more='"operations_file": "operations.json", "cache": { "memory": "2GiB" },'
    start_psgate few "\"url\": \"$responder_url\"" "$more"
    entries_few_pid=$server_pid entries_few_url=$server_url
    python3 "$here/tools/clients.py" "$folder/clients.json" "$folder/clients-many.json" "$many_clients" "$folder/tokens"
    local psgate_clients=clients-many.json
    start_psgate many "\"url\": \"$responder_url\"" "$more"
    entries_many_pid=$server_pid entries_many_url=$server_url
}

# fill URL COUNT: asks for one after the other until the upstream has been asked for each.
fill() {
    local before pid load_script=$here/lua/entries.lua load_arguments=("$2" in-order)
    before=$(reached "$responder_count")
    load_wrk "$1" "$token" 600 >/dev/null &
    pid=$!
    while (($(reached "$responder_count") - before < $2)); do
        kill -0 "$pid" 2>/dev/null || die "the cache was not filled"
        sleep 0.2
    done
    stop_load "$pid"
}

# stop_load PID: wrk, below it, ends as after its time.
stop_load() {
    local child=$1 next
    while next=$(first_child "$child") && [[ -n $next ]]; do
        child=$next
    done
    kill -INT "$child"
    wait "$1"
}

check_entries() {
    local before
    check_job "$entries_few_url/v1/things/0000000"
    before=$(pss_kib "$entries_many_pid")
    check_job "$entries_many_url/v1/things/0000000"
    fill "$entries_many_url" "$many_entries"
    record entries psgate bytes_per_entry "$(
        compute %.1f "($(pss_kib "$entries_many_pid") - $before) * 1024 / $many_entries"
    )"
    fact entries "$many_entries answers stored, $many_clients clients"
}

# measure_entries ROW PID URL COUNT [CLIENTS]
measure_entries() {
    local load_script=$here/lua/entries.lua load_arguments=("$4" at-random)
    (($# < 5)) || load_arguments+=("$folder/tokens" "$5")
    measure_hits "$1" psgate "$2" "$3" "$token"
}

measure_entries_round() {
    measure_entries "1 of 1" "$entries_few_pid" "$entries_few_url" 1
    measure_entries "1 of many" "$entries_many_pid" "$entries_many_url" 1
    measure_entries "1,000 of many" "$entries_many_pid" "$entries_many_url" "$entries_hot" "$entries_hot"
    measure_entries "any of many" "$entries_many_pid" "$entries_many_url" "$many_entries" "$many_clients"
}
