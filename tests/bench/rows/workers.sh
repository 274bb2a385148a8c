# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "workers": hits from one worker and from two, both on both cores, where the load is too. The
# rate says little then; the CPU a request should be the same.

workers_measurements=2 # a round
declare -A workers_pid workers_url

start_workers() {
    local psgate_workers server_core=$load_core,$server_core
    for psgate_workers in 1 2; do
        start_psgate "workers-$psgate_workers" "\"url\": \"$responder_url\"" '"operations_file": "operations.json",'
        workers_pid[$psgate_workers]=$server_pid workers_url[$psgate_workers]=$server_url
    done
}

check_workers() {
    check_cache "${workers_url[1]}"
    check_cache "${workers_url[2]}"
}

measure_workers_round() {
    local count wrk_threads=2 load_core=$load_core,$server_core
    for count in 1 2; do
        measure_hits workers "$count" "${workers_pid[$count]}" "${workers_url[$count]}$hit_path" "$token"
    done
}
