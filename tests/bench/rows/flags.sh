# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # the variables that the files of the bench share
# Rows "flags, hit" and "flags, pass": psgate as it is released, and built without one of the
# compiler's protections each, without any of them, and without LTO. Sourced by run.sh.

flags_variants=(release pie relro stack-protector stack-clash control-flow fortify all lto)
flags_measurements=$((2 * ${#flags_variants[@]})) # a round
declare -A flags_pid flags_url

# build_variant NAME: sets built.
build_variant() {
    local build=$root/build/flags/$1 options=()
    built=$build/psgate
    case $1 in
    release) ;;
    lto) options=(-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF) ;;
    all) options=('-DPSGATE_WITHOUT=pie;relro;stack-protector;stack-clash;control-flow;fortify') ;;
    *) options=("-DPSGATE_WITHOUT=$1") ;;
    esac
    if ! { (cd "$root" && quietly cmake --preset release -B "$build" "${options[@]}") &&
        quietly cmake --build "$build"; }; then
        die "the build without $1 failed (what it said is above)"
    fi
}

start_flags() {
    local name built binary
    for name in "${flags_variants[@]}"; do
        say "Building: ${name/#release/all protections} (build/flags/$name)"
        build_variant "$name"
        binary=$built
        start_psgate "flags-$name" "\"url\": \"$responder_url\"" '"operations_file": "operations.json",'
        flags_pid[$name]=$server_pid flags_url[$name]=$server_url
    done
    fact flags "release: as it is; else without that; all: without any protection, with LTO"
}

check_flags() {
    local name
    for name in "${flags_variants[@]}"; do
        check_cache "${flags_url[$name]}"
    done
}

measure_flags_round() {
    local name
    for name in "${flags_variants[@]}"; do
        measure_hits "flags, hit" "$name" "${flags_pid[$name]}" "${flags_url[$name]}$hit_path" "$token"
    done
    for name in "${flags_variants[@]}"; do
        measure "flags, pass" "$name" "${flags_pid[$name]}" "${flags_url[$name]}/v1/other" "$token"
    done
}
