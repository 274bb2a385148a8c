# shellcheck shell=bash
# Messages for people; sourced, not run. Colour only on a terminal.

# Whether people look, at a terminal that can go back in a line.
is_terminal() {
    [[ -t 1 && -t 2 && ${TERM:-dumb} != dumb ]]
}

bold='' red='' green='' yellow='' plain=''
if is_terminal && [[ -z ${NO_COLOR:-} ]]; then
    # shellcheck disable=SC2034  # all five are for whoever sources this
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
fi

# say TEXT: what happens now.
say() {
    printf '%s==> %s%s\n' "$bold" "$1" "$plain"
}

# note TEXT...: more about it, a line each.
note() {
    printf '    %s\n' "$@"
}

warn() {
    printf '%swarning: %s%s\n' "$yellow" "$1" "$plain" >&2
}

has_explained=false

# die TEXT [STATUS]
die() {
    has_explained=true
    printf '%s: %s%s%s\n' "${0##*/}" "$red" "$1" "$plain" >&2
    exit "${2:-1}"
}

# misused TEXT: as psgate ends when it is called wrongly.
misused() {
    die "$1 (--help says more)" 64
}

# explain_exit STATUS: for EXIT traps; no script of ours ends badly (but by a signal) in silence.
explain_exit() {
    if (($1 > 0 && $1 < 128)) && ! $has_explained; then
        warn "${0##*/} ended unexpectedly, with status $1"
    fi
}
