# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "change, ...": changes whose intent and result
# are made durable, beside changes of which psgate keeps no record; row "disk": what the disk
# does by itself. Sourced by run.sh.

audit_measurements=13 # a round
audit_path=/v1/teams/bench/secrets
audit_unaudited_path=/v1/other/X
audit_body='{"name":"BENCH","value":"not much of a secret"}'
declare -A audit_url audit_pid audit_answered audit_unanswered # by the trail's name

# The trails' and the disk's folder: where a sync means something.
make_audit_folder() {
    local system
    if [[ -n $disk ]]; then
        audit_folder=$(mktemp -d "$disk/psgate-bench.XXXXXX")
        disk_folder=$audit_folder
    else
        audit_folder=$folder
    fi
    system=$(stat -f -c %T "$audit_folder")
    $is_smoke || [[ $system != tmpfs && $system != ramfs ]] ||
        die "$audit_folder is in memory ($system), where a sync costs nothing: --disk DIR names a folder on a disk"
}

# start_audited NAME: the folder's name is the trail's; nothing is made old by a change of
# either kind, so that they differ in nothing but their records.
start_audited() {
    start_psgate "audit-$1" "\"url\": \"$responder_url\"" \
        "\"audit\": { \"directory\": \"$audit_folder/trail-$1\", \"other_mutations\": \"off\" },
  \"cache\": { \"other_invalidates\": [] },"
    audit_url[$1]=$server_url audit_pid[$1]=$server_pid audit_answered[$1]=0 audit_unanswered[$1]=0
}

start_both_cores() {
    local server_core=$load_core,$server_core
    start_audited both
}

start_audit() {
    make_audit_folder
    compile disk
    start_audited one
    start_both_cores
}

# check_change URL [OPTION...]: a change that is passed on, and one that is not.
check_change() {
    local got
    got=$(fetch_with "$token" "${@:2}" "$1")
    [[ $got == "$body" ]] || die "$1 does not answer a change with the upstream's body but with: $got"
    got=$(fetch_with wrong "${@:2}" -o /dev/null -w '%{http_code}' "$1")
    [[ $got == 401 ]] || die "$1 answers a wrong token with $got"
}

check_audit() {
    local name
    for name in one both; do
        check_change "${audit_url[$name]}$audit_unaudited_path" -X DELETE
        check_change "${audit_url[$name]}$audit_path/X" -X DELETE
        check_change "${audit_url[$name]}$audit_path" -H 'Content-Type: application/json' -d "$audit_body"
        audit_answered[$name]=2
    done
    fact changes "DELETE (with a body: POST of ${#audit_body} bytes), ${#body}-byte JSON answer; audited: two records each, durable"
    fact disk "$(df --output=fstype,source "$audit_folder" | sed 1d | tr -s ' ') for the trail; rows of the disk: records of 750 bytes, times of a sync"
}

# measure_changes ROW SERVER NAME CONNECTIONS PATH METHOD [BODY]: each answer comes from the
# upstream. When its time is over, wrk leaves without some answers.
measure_changes() {
    local before connections=$4 load_script=$here/lua/changes.lua load_arguments=("${@:6}")
    before=$(reached "$responder_count")
    measure "$1" "$2" "${audit_pid[$3]}" "${audit_url[$3]}$5" "$token"
    (($(reached "$responder_count") - before >= measured_requests)) ||
        die "$2 ($1): not each of its $measured_requests answers came from the upstream"
}

# measure_audited ROW NAME CONNECTIONS PATH METHOD [BODY]
measure_audited() {
    measure_changes "$1" audited "${@:2}"
    ((audit_answered[$2] += measured_requests, audit_unanswered[$2] += $3))
}

# measure_disk RECORDS: so many with one sync, on the servers' core.
measure_disk() {
    local records p50 p99 cpu
    read -r _ records p50 p99 cpu < <(
        taskset -c "$server_core" "$folder/disk" "$audit_folder" "$seconds" "$1"
    )
    record disk "$1 a sync" requests_per_s "$(compute %.1f "$records / $seconds")" \
        cpu_us "$(compute %.4f "$cpu / 1000 / $records")" p50_us "$p50" p99_us "$p99"
}

# What is compared with the disk is measured next to it: its pace changes by the minute.
measure_audit_round() {
    local count
    measure_changes "change, 1 connection" unaudited one 1 "$audit_unaudited_path" DELETE
    measure_disk 1
    measure_audited "change, 1 connection" one 1 "$audit_path/X" DELETE
    for count in 16 64; do
        measure_changes "change, $count connections" unaudited one "$count" "$audit_unaudited_path" DELETE
        measure_audited "change, $count connections" one "$count" "$audit_path/X" DELETE
    done
    measure_changes "change, 64, with a body" unaudited one 64 "$audit_unaudited_path" POST "$audit_body"
    measure_audited "change, 64, with a body" one 64 "$audit_path" POST "$audit_body"
    measure_changes "change, 64, both cores" unaudited both 64 "$audit_unaudited_path" DELETE
    measure_audited "change, 64, both cores" both 64 "$audit_path/X" DELETE
    measure_disk 16
    measure_disk 64
}

# finish_audit: the trails must be whole, with all changes that were answered and none of those
# that were to leave no record.
finish_audit() {
    local name said mutations most
    for name in one both; do
        end_server "${audit_pid[$name]}" || die "psgate did not stop as it should"
        said=$("$binary" audit verify "$audit_folder/trail-$name") ||
            die "the trail is not intact: $said"
        said=${said%%$'\n'*}
        mutations=$(sed -n -E 's/.* records, ([0-9]+) mutations, 0 unfinished, chain intact$/\1/p' <<<"$said")
        [[ -n $mutations ]] || die "the trail is not as it should be: $said"
        most=$((audit_answered[$name] + audit_unanswered[$name]))
        ((mutations >= audit_answered[$name] && mutations <= most)) ||
            die "the trail has $mutations mutations, but ${audit_answered[$name]} to $most changes were made"
        fact "trail ($name)" "$said; $mutations mutations for ${audit_answered[$name]} answers"
    done
}
