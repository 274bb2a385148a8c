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

# build_preset ROOT PRESET: the program is then ROOT/build/PRESET/psgate.
build_preset() (
    cd "$1" && quietly cmake --preset "$2" && quietly cmake --build --preset "$2"
)
