#!/usr/bin/env bash
# From a fresh clone to a running gateway: packages, build, a first client and its token.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=lib/build.sh
source "$root/deploy/lib/build.sh"
# shellcheck source=lib/server.sh
source "$root/deploy/lib/server.sh"

usage() {
    cat <<'END'
Usage: deploy/quickstart.sh [OPTIONS]

Installs what is missing (Debian packages, as root or with sudo), builds psgate and starts
it: in front of the real API when PAPERSPACE_API_KEY is set, in front of the built-in
sandbox when it is not. Makes a token for a first client, says how to use it, and serves
until Ctrl-C. The API key goes to the gateway alone: it is not written or printed.

  --once                 make the printed requests, show the answers, stop; the exit status
                         is 0 only if each answer was right (a sandbox is read and changed,
                         the real API only read)
  --port PORT            listen on this port of 127.0.0.1 (default: 8080, or any free one
                         when 8080 is taken; 0: any free one)
  --listen ADDRESS:PORT  listen there
  --state DIR            keep the clients file there (default: a private temporary folder,
                         removed at the end); each start adds a token to it, and writes
                         quickstart.json beside it
  --upstream URL         the API to stand in front of (default: https://api.paperspace.com;
                         needs PAPERSPACE_API_KEY)
  --binary FILE          start this psgate instead of building one
  -h, --help             this text
END
}

# What it is told.
once=false
listen=''
state=''
upstream=https://api.paperspace.com
binary=''

# How it goes on.
api_key=''
mode=sandbox
is_state_ours=false
token=''
team=''
server_pid=''
is_stopping=false

client=first-client
secret_name=QUICKSTART
secret_value="value-$RANDOM$RANDOM$RANDOM"

read_arguments() {
    local is_upstream_given=false
    while (($# > 0)); do
        case $1 in
        --once) once=true ;;
        --port | --listen | --state | --upstream | --binary)
            [[ -n ${2:-} ]] || misused "$1 needs a value"
            take_option "$1" "$2"
            [[ $1 != --upstream ]] || is_upstream_given=true
            shift
            ;;
        -h | --help)
            usage
            exit
            ;;
        *) misused "unknown option: $1" ;;
        esac
        shift
    done
    if $is_upstream_given && [[ $mode == sandbox ]]; then
        misused "--upstream needs the API key in PAPERSPACE_API_KEY"
    fi
}

# These values go into a JSON file: only what an address, a URL and a path look like.
take_option() {
    case $1 in
    --port)
        [[ $2 =~ ^[0-9]{1,5}$ ]] || misused "--port takes a number"
        listen=127.0.0.1:$2
        ;;
    --listen)
        [[ $2 =~ ^[][0-9A-Fa-f.:]+$ ]] || misused "--listen takes ADDRESS:PORT"
        listen=$2
        ;;
    --upstream)
        [[ $2 =~ ^https?://[][A-Za-z0-9_.:-]+$ ]] || misused "--upstream takes https://HOST[:PORT]"
        upstream=$2
        ;;
    --state) state=$2 ;;
    --binary) binary=$2 ;;
    esac
}

# From here on the key is a variable of this shell and of nothing that it starts.
take_key() {
    [[ -n ${PAPERSPACE_API_KEY:-} ]] || return 0
    api_key=$PAPERSPACE_API_KEY
    unset PAPERSPACE_API_KEY
    [[ $api_key != psgate_* ]] ||
        die "PAPERSPACE_API_KEY holds a gateway's token, not an API key (unset it for the sandbox)"
    mode=real
}

make_state() {
    if [[ -z $state ]]; then
        state=$(mktemp -d "${TMPDIR:-/tmp}/psgate-quickstart.XXXXXX")
        is_state_ours=true
    else
        (umask 077 && mkdir -p "$state") || die "cannot make the folder $state"
        state=$(cd "$state" && pwd)
    fi
}

tidy_up() {
    explain_exit "$?"
    if [[ -n $server_pid ]]; then
        stop_server "$server_pid" || true
        server_pid=''
    fi
    if $is_state_ours; then
        rm -rf "$state"
    fi
}

make_program() {
    if [[ -n $binary ]]; then
        [[ -f $binary && -x $binary ]] || die "$binary is not a program"
        return
    fi
    need_packages "${build_packages[@]}"
    say "Building psgate (build/release)"
    build_preset "$root" release || die "the build failed (what it said is above)"
    binary=$root/build/release/psgate
}

make_token() {
    say "Making a token for the client \"$client\""
    token=$("$binary" token create --clients "$state/clients.json" --name "$client") ||
        die "no token could be made"
}

write_config() {
    local upstream_line=''
    if [[ $mode == real ]]; then
        upstream_line="\"upstream\": { \"url\": \"$upstream\" },"
    fi
    cat >"$state/quickstart.json" <<END
{
  "listen": [{ "address": "$1" }],
  $upstream_line
  "credentials": { "default": { "api_key_env": "PAPERSPACE_API_KEY" } },
  "clients_file": "clients.json",
  "log": { "format": "text" }
}
END
}

choose_address() {
    if [[ -n $listen ]]; then
        echo "$listen"
    elif is_port_taken 127.0.0.1 8080; then
        echo 127.0.0.1:0
    else
        echo 127.0.0.1:8080
    fi
}

# Only the gateway gets the key; the sandbox takes any.
gateway() {
    if [[ $mode == real ]]; then
        PAPERSPACE_API_KEY=$api_key exec "$binary" serve -c "$state/quickstart.json"
    else
        PAPERSPACE_API_KEY=sandbox exec "$binary" serve --sandbox -c "$state/quickstart.json"
    fi
}

# With --once its log is shown only when something went wrong.
start_gateway() {
    say "Starting the gateway"
    write_config "$(choose_address)"
    if $once; then
        start_server "$state" gateway 2>"$state/gateway.log" || fail "the gateway did not start"
    else
        start_server "$state" gateway || die "the gateway did not start (its own words are above)"
    fi
}

# With --once: the log, then the reason.
fail() {
    cat "$state/gateway.log" >&2
    die "$1 (its own words are above)"
}

front_of() {
    if [[ $mode == real ]]; then
        echo "$upstream"
    else
        echo "the built-in sandbox (set PAPERSPACE_API_KEY for the real API)"
    fi
}

# each_request ACTION: calls it for every request of the tour, with
# TITLE CREDENTIAL METHOD PATH BODY STATUS PATTERN (an extended regular expression).
each_request() {
    local secrets=/teams/$team/secrets
    "$1" "the team's members" token GET "/teams/$team/users" '' 200 '"email":'
    "$1" "the names of the team's secrets" token GET "$secrets" '' 200 '^(\[|\{.*"items":\[)'
    if [[ $mode == sandbox ]]; then
        "$1" "a new secret" token POST "$secrets" \
            "{\"name\":\"$secret_name\",\"value\":\"$secret_value\"}" \
            201 "\"name\":\"$secret_name\".*\"dtCreated\":"
        "$1" "what is known of it (never its value)" token GET "$secrets/$secret_name" '' \
            200 "\"name\":\"$secret_name\""
        "$1" "another value for it" token PATCH "$secrets/$secret_name" \
            "{\"value\":\"$secret_value-2\"}" 200 '"dtModified":'
        "$1" "away with it" token DELETE "$secrets/$secret_name" '' 204 '^$'
        "$1" "it is gone" token GET "$secrets/$secret_name" '' 404 '"code":"NOT_FOUND"'
    fi
    "$1" "who the gateway takes you for" token GET /.psgate/whoami '' 200 "\"client\": *\"$client\""
    "$1" "a wrong token" wrong GET /auth/session '' 401 '"code":"UNAUTHORIZED","message":"psgate: '
    "$1" "no token" none GET /auth/session '' 401 '"code":"UNAUTHORIZED","message":"psgate: '
}

session_request() {
    "$1" "the session behind the key" token GET /auth/session '' 200 '"team":\{'
}

# The gateway's own paths are beside /v1.
url_of() {
    if [[ $1 == /.psgate/* ]]; then
        echo "$server_url$1"
    else
        echo "$server_url/v1$1"
    fi
}

print_request() {
    local credential=$2 method=$3 path=$4 body=$5 line=curl url
    url=$(url_of "$path")
    [[ $method == GET ]] || line+=" -X $method"
    case $credential in
    token) line+=" -H \"Authorization: Bearer \$PAPERSPACE_API_KEY\"" ;;
    wrong) line+=' -H "Authorization: Bearer wrong"' ;;
    esac
    [[ -z $body ]] || line+=" -H 'Content-Type: application/json' -d '$body'"
    printf '    %s\n' "# $1" "$line ${url/"$server_url/v1"/\$PAPERSPACE_API_URL}"
}

right=0
wrong=0

# perform_request: shows the request and its answer, and judges it. Leaves it in answer.
perform_request() {
    local method=$3 path=$4 body=$5 wanted=$6 pattern=$7 status shown
    print_request "$@"
    status=$(send "$2" "$method" "$path" "$body") || status="no answer"
    answer=$(cat "$state/answer" 2>/dev/null || true)
    rm -f "$state/answer"
    shown=${answer//[[:cntrl:]]/ }
    ((${#shown} <= 400)) || shown="${shown:0:400}…"
    printf '    %s %s\n' "$status" "$shown"
    if [[ $status == "$wanted" && $answer =~ $pattern && $answer != *"$secret_value"* ]] &&
        [[ -z $api_key || $answer != *"$api_key"* ]]; then
        right=$((right + 1))
        printf '    %sright%s\n\n' "$green" "$plain"
    else
        wrong=$((wrong + 1))
        printf '    %sWRONG: expected %s and a body that matches %s%s\n\n' \
            "$red" "$wanted" "$pattern" "$plain"
    fi
}

# The body goes to a file, the status to standard output. Tokens stay out of the process list.
send() {
    local method=$2 path=$3 body=$4 options=() credential=''
    case $1 in
    token) credential="Authorization: Bearer $token" ;;
    wrong) credential="Authorization: Bearer wrong" ;;
    esac
    [[ -z $body ]] || options=(-H 'Content-Type: application/json' --data-binary "$body")
    curl -q -sS --noproxy '*' --max-time 90 -X "$method" -H @- "${options[@]}" \
        -o "$state/answer" -w '%{http_code}' "$(url_of "$path")" <<<"$credential"
}

# The team that paths name: "sandbox", or what the real session says.
learn_team() {
    if [[ $mode == sandbox ]]; then
        team=sandbox
    elif [[ $1 =~ \"team\":\{[^}]*\"id\":\"([^\"/]+)\" ]]; then
        team=${BASH_REMATCH[1]}
    fi
}

print_usage_of_token() {
    printf '\n'
    say "The gateway is at $server_url, in front of $(front_of)"
    note "Its first client is \"$client\". Its token is shown only now; the gateway keeps a hash." \
        "In another terminal:" ""
    note "export PAPERSPACE_API_URL=$server_url/v1" "export PAPERSPACE_API_KEY=$token" ""
    note "pspace works with these two as it is. With curl:" ""
}

print_tour() {
    print_usage_of_token
    learn_team ''
    session_request print_request
    if [[ $mode == real ]]; then
        note "export TEAM=…  # \"id\" of \"team\" in that answer"
        team=\$TEAM
    fi
    each_request print_request
    printf '\n'
    note "# a token for another client" \
        "$binary token create --clients $state/clients.json --name NAME && kill -HUP $server_pid" ""
    say "Serving until Ctrl-C; each request is a line below"
}

tour() {
    print_usage_of_token
    session_request perform_request
    learn_team "$answer"
    [[ -n $team ]] || die "the session names no team: is the API key a team's?"
    each_request perform_request
}

# The first signal lets requests in flight finish; a second one does not wait for them.
on_signal() {
    is_stopping=true
    kill -TERM "$server_pid" 2>/dev/null || true
}

# wait ends when a signal came, too.
serve_until_stopped() {
    local status
    trap on_signal INT TERM HUP
    while true; do
        status=0
        wait "$server_pid" || status=$?
        kill -0 "$server_pid" 2>/dev/null || break
    done
    trap - INT TERM HUP
    server_pid=''
    $is_stopping || die "the gateway ended by itself, with status $status"
    printf '\n'
    say "Stopped"
}

finish_tour() {
    local pid=$server_pid
    server_pid=''
    stop_server "$pid" || fail "the gateway did not stop cleanly"
    ((wrong == 0)) || fail "$wrong of the gateway's $((right + wrong)) answers were wrong"
    say "${green}All $right answers were right${plain}"
}

take_key
read_arguments "$@"
trap tidy_up EXIT
make_program
make_state
make_token
start_gateway
if $once; then
    tour
    finish_tour
else
    print_tour
    serve_until_stopped
fi
