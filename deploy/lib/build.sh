# shellcheck shell=bash
# Building with the presets of CMakePresets.json. Sourced after messages.sh.

# quietly COMMAND...: shows what the command said only if it failed.
quietly() {
    local said
    if ! said=$("$@" 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

# show_last_line: what comes in, each line in the place of the one before, and none left.
show_last_line() {
    local line columns
    columns=$(tput cols 2>/dev/null) || columns=80
    while IFS= read -r line; do
        printf '\r\e[K    %s' "${line:0:columns-5}"
    done
    printf '\r\e[K'
}

# followed COMMAND...: as quietly; on a terminal its last line is shown while it runs.
followed() {
    local said status=0
    if ! is_terminal; then
        quietly "$@"
        return
    fi
    said=$(mktemp)
    { "$@" 2>&1 || echo $? >"$said.status"; } | tee "$said" | show_last_line
    if [[ -e $said.status ]]; then
        status=1
        cat "$said" >&2
    fi
    rm -f "$said" "$said.status"
    return "$status"
}

# build_preset ROOT PRESET: the program is then ROOT/build/PRESET/psgate.
build_preset() (
    cd "$1" && quietly cmake --preset "$2" && followed cmake --build --preset "$2"
)
