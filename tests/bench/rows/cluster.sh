# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Row "cluster": hits of a gateway that shares a Redis server with others, beside hits of one
# alone. Redis runs beside the load, and takes part in no hit.

cluster_measurements=2 # a round
declare -A cluster_pid cluster_url

start_redis() {
    taskset -c "$load_core" redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' \
        --appendonly no --dir "$folder" </dev/null >"$folder/redis.log" 2>&1 &
    servers+=("$!")
    for _ in {1..300}; do
        [[ ! -S $folder/redis.sock ]] || return 0
        sleep 0.05
    done
    cat "$folder/redis.log" >&2
    die "redis-server did not start"
}

# start_sharing NAME [MEMBERS]
start_sharing() {
    start_psgate "cluster-$1" "\"url\": \"$responder_url\"" "\"operations_file\": \"operations.json\", ${2:-}"
    cluster_pid[$1]=$server_pid cluster_url[$1]=$server_url
}

start_cluster() {
    start_redis
    start_sharing alone
    start_sharing shared "\"cluster\": { \"redis\": \"unix:$folder/redis.sock\" },"
}

# What begins with an empty Redis stores nothing for a while.
await_hit() {
    local status
    for _ in {1..400}; do
        status=$(fetch_with "$token" -D - -o /dev/null "$1$hit_path" | sed -n 's/\r$//; s/^cache-status: *//Ip')
        [[ $status != 'psgate; hit'* ]] || return 0
        sleep 0.05
    done
    die "the gateway in a cluster has no hits: ${status:-nothing}"
}

check_cluster() {
    await_hit "${cluster_url[alone]}"
    await_hit "${cluster_url[shared]}"
}

measure_cluster_round() {
    local name
    for name in alone shared; do
        measure_hits cluster "$name" "${cluster_pid[$name]}" "${cluster_url[$name]}$hit_path" "$token"
    done
}
