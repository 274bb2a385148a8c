# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Loads, and what they cost. Each figure of each round is a line: row, server, figure, value.
# Sourced by run.sh.

# record ROW SERVER FIGURE VALUE [FIGURE VALUE]...
record() {
    local row=$1 server=$2
    shift 2
    while (($# > 1)); do
        printf '%s\t%s\t%s\t%s\n' "$row" "$server" "$1" "$2" >>"$folder/figures"
        shift 2
    done
}

# compute FORMAT EXPRESSION: awk's arithmetic.
compute() {
    awk "BEGIN { printf \"$1\", $2 }"
}

# fetch_with TOKEN [OPTION...] URL
fetch_with() {
    curl -q -sS --noproxy '*' --cacert "$folder/ca.pem" -H "Authorization: Bearer $1" "${@:2}"
}

# Whether a server does the job at all: the right token, and the wrong one.
check_job() {
    local got
    got=$(fetch_with "$token" "$1")
    [[ $got == "$body" ]] || die "$1 does not answer with the upstream's body but with: $got"
    got=$(fetch_with wrong -o /dev/null -w '%{http_code}' "$1")
    [[ $got == 401 ]] || die "$1 answers a wrong token with $got"
}

# Nanoseconds on a core, of all the threads of a process: user and system time.
cpu_ns() {
    local file ns rest total=0
    for file in /proc/"$1"/task/*/schedstat; do
        read -r ns rest <"$file"
        total=$((total + ns))
    done
    echo "$total"
}

# KiB of memory that a process has for itself, with its part of what it shares.
pss_kib() {
    sed -n -E 's/^Pss: +([0-9]+) kB$/\1/p' "/proc/$1/smaps_rollup"
}

# reached COUNT-URL: how many requests the upstream has had: a number alone, or the third of
# nginx's three.
reached() {
    curl -q -sS --noproxy '*' --cacert "$folder/ca.pem" "$1" |
        sed -n -E 's/^ *([0-9]+ [0-9]+ )?([0-9]+) *$/\2/p'
}

# wrk counts in whole seconds: it is told when to stop. Then it says "figures REQUESTS P50 P99
# ERRORS MICROSECONDS BYTES".
# load_wrk URL TOKEN SECONDS
load_wrk() {
    {
        timeout -s INT "$3" taskset -c "$load_core" wrk "-t$wrk_threads" -c"$connections" -d1h \
            -s "$load_script" -H "Authorization: Bearer $2" "${load_fields[@]}" "$1" \
            -- "${load_arguments[@]}" || (($? == 124))
    } | grep ^figures
}

# The same from our own load, which has options of its own.
# load_own URL TOKEN SECONDS [OPTION...]
load_own() {
    taskset -c "$load_core" "$folder/load" -c "$connections" -d "$3" -H "Authorization: Bearer $2" \
        "${load_fields[@]}" "${@:4}" "$1"
}

# measure ROW SERVER PID URL TOKEN [OPTION...]: the figures of all rows. With options the load is
# our own. Where not one answer came in time, again with twice as much, up to a minute. Sets measured_requests,
# measured_bytes, measured_resumed and measured_cpu_ns.
measure() {
    local p50 p99 errors us for_seconds=$seconds with=load_wrk
    (($# == 5)) || with=load_own
    measured_requests=0 errors=0
    while ((measured_requests == 0 && errors == 0)); do
        measured_cpu_ns=$(cpu_ns "$3")
        read -r _ measured_requests p50 p99 errors us measured_bytes measured_resumed <<<"$(
            "$with" "$4" "$5" "$for_seconds" "${@:6}"
        )"
        measured_cpu_ns=$(($(cpu_ns "$3") - measured_cpu_ns))
        [[ -n $measured_requests && ${for_seconds%.*} -lt 60 ]] || die "$2 ($1): the load got no answer"
        for_seconds=$(compute %.3f "2 * $for_seconds")
    done
    ((errors == 0)) || die "$2 ($1): $errors requests went wrong, $measured_requests did not"
    record "$1" "$2" requests_per_s "$(compute %.1f "$measured_requests * 1e6 / $us")" \
        cpu_us "$(compute %.4f "$measured_cpu_ns / 1000 / $measured_requests")" \
        busy "$(compute %.4f "$measured_cpu_ns / 1000 / $us")" p50_us "$p50" p99_us "$p99"
}

# measure_hits ROW SERVER PID URL TOKEN [OPTION...]: asking for the count is the one request that
# the upstream may see.
measure_hits() {
    local before
    before=$(reached "$responder_count")
    measure "$@"
    (($(reached "$responder_count") - before == 1)) || die "$2 ($1): not each answer was a hit"
}

# The protocol and the cipher that a server agrees on with OpenSSL's client.
agreed_tls() {
    openssl s_client -connect "localhost:${1##*:}" -CAfile "$folder/ca.pem" -brief </dev/null 2>&1 |
        sed -n -E 's/^(Protocol version|Ciphersuite|Server Temp Key): //p' | paste -sd' '
}
