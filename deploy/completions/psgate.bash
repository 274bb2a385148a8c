# shellcheck shell=bash
# Completion of psgate(1) for bash: source it, or put it into
# /usr/share/bash-completion/completions/psgate.

# The ids of the built-in operation table, for --allow, --deny and --action.
_psgate_operations="
    getSession listTeamMembers updateTeamMember removeTeamMember listTeamSecrets
    createTeamSecret getTeamSecret updateTeamSecret deleteTeamSecret createProjectSecret
    updateProjectSecret deleteProjectSecret createContainerRegistry updateContainerRegistry
    deleteContainerRegistry createStorageProvider updateStorageProvider deleteStorageProvider
    manageApiTokens manageApiTokensV1 manageApiToken manageApiTokenV1 logIn logInV1
    manageApiKeys manageTeamApiKeys other
"

# _psgate_options COMMAND [VERB]: its options.
_psgate_options() {
    case "$1 ${2-}" in
    "serve "*) echo "-c --config --sandbox --unconfined -h --help" ;;
    "check "*) echo "-c --config --offline --explain --client -h --help" ;;
    "token create") echo "--clients --name --allow --deny --expires --credential --team --admin -h --help" ;;
    "token list") echo "--clients --name --json -h --help" ;;
    "token revoke") echo "--clients --name -h --help" ;;
    "audit verify") echo "--public-key --checkpoint -h --help" ;;
    "audit search") echo "--since --until --action --user --resource --source --event-id --outcome --json -h --help" ;;
    "audit tail") echo "-n --lines -f --follow $(_psgate_options audit search)" ;;
    "audit keygen") echo "-h --help" ;;
    "sandbox "*) echo "--listen --api-key-file --delay --fail-rate -h --help" ;;
    esac
}

# _psgate_value OPTION...: the last value that the command line gives for one of them.
_psgate_value() {
    local i option value=''
    for ((i = 1; i < COMP_CWORD; i++)); do
        for option in "$@"; do
            [[ ${COMP_WORDS[i]} == "$option" ]] || continue
            value=${COMP_WORDS[i + 1]}
            [[ $value != = ]] || value=${COMP_WORDS[i + 2]-}
        done
    done
    printf '%s' "${value/#\~\//$HOME/}"
}

# _psgate_members MEMBER FILE: the strings that a JSON file has for it.
_psgate_members() {
    grep -o "\"$1\"[[:space:]]*:[[:space:]]*\"[^\"\\\\]*\"" -- "$2" 2>/dev/null | sed 's/.*"\([^"]*\)"$/\1/' | sort -u
}

# The names in the clients file that --clients, or the configuration, names.
_psgate_names() {
    local file config
    file=$(_psgate_value --clients)
    if [[ -z $file ]]; then
        config=$(_psgate_value -c --config)
        config=${config:-/etc/psgate/psgate.json}
        file=$(_psgate_members clients_file "$config")
        [[ $file == /* ]] || file=$(dirname -- "$config")/$file
    fi
    _psgate_members name "$file"
}

# _psgate_offer WORDS CURRENT: those that go on from what is typed.
_psgate_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# _psgate_offer_list WORDS CURRENT: the same behind the last comma.
_psgate_offer_list() {
    local before=''
    [[ $2 != *,* ]] || before=${2%,*},
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "${2##*,}")
    compopt -o nospace 2>/dev/null
}

# _psgate_offer_paths -f|-d CURRENT: files, or folders.
_psgate_offer_paths() {
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
    compopt -o filenames 2>/dev/null
}

# Names may hold blanks: a line each.
_psgate_offer_names() {
    local IFS=$'\n'
    mapfile -t COMPREPLY < <(compgen -W "$(_psgate_names | sed 's/[\\$`]/\\&/g')" -- "$1")
    compopt -o filenames 2>/dev/null
}

# _psgate_offer_value OPTION CURRENT: false when the option takes no value.
_psgate_offer_value() {
    case $1 in
    -c | --config | --clients | --api-key-file | --public-key | --checkpoint) _psgate_offer_paths -f "$2" ;;
    --client | --name) _psgate_offer_names "$2" ;;
    --allow | --deny) _psgate_offer_list "$_psgate_operations" "$2" ;;
    --action) _psgate_offer "$_psgate_operations" "$2" ;;
    --explain) _psgate_offer "GET HEAD OPTIONS POST PUT PATCH DELETE" "$2" ;;
    --expires) _psgate_offer "7d 30d 90d 365d" "$2" ;;
    --since | --until) _psgate_offer "1h 24h 7d 30d" "$2" ;;
    --outcome) _psgate_offer_list "success failure refused unknown unfinished" "$2" ;;
    --delay) _psgate_offer "50ms 250ms 1s" "$2" ;;
    --credential | --team | --user | --resource | --source | --event-id | --listen | --fail-rate | -n | --lines) ;;
    *) return 1 ;;
    esac
    return 0
}

_psgate() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} verb=${COMP_WORDS[2]-}
    COMPREPLY=()
    if [[ $current == = ]]; then
        current=''
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)); then
        _psgate_offer "serve check token audit sandbox -h --help --version" "$current"
    elif _psgate_offer_value "$previous" "$current"; then
        return
    elif ((COMP_CWORD == 2)) && [[ $command == token ]]; then
        _psgate_offer "create list revoke -h --help" "$current"
    elif ((COMP_CWORD == 2)) && [[ $command == audit ]]; then
        _psgate_offer "verify search tail keygen -h --help" "$current"
    elif [[ $current == -* || $command != audit ]]; then
        _psgate_offer "$(_psgate_options "$command" "$verb")" "$current"
    else
        _psgate_offer_paths -d "$current"
    fi
}

complete -F _psgate psgate
