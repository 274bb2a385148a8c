#!/usr/bin/env bash
# Static analysis of everything in proxy/: any finding fails. One that is none is answered in
# its place, with the reason: NOLINTNEXTLINE, cppcheck-suppress, base/analyzer.h.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../../deploy/lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=../../deploy/lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=../../deploy/lib/build.sh
source "$root/deploy/lib/build.sh"

usage() {
    cat <<'END'
Usage: tests/static/run.sh [TOOL]...

Runs the tools over proxy/ and shows what they find, and nothing else; 0 if they find nothing.
On two cores they take:

  cppcheck   15 seconds (warnings, performance and portability)
  analyzer   40 seconds (gcc -fanalyzer, in build/analyzer)
  tidy       5 minutes (clang-tidy and clang's analyzer, as .clang-tidy says)

Without a TOOL: all three.
END
}

run_cppcheck() {
    cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,performance,portability \
        --inline-suppr --library=posix,gnu,bsd,openssl,libcurl \
        --include="$root/tests/static/cppcheck.h" -I "$root/proxy" \
        -D_GNU_SOURCE '-DPSGATE_VERSION="0"' --error-exitcode=1 \
        --template='{file}:{line}: {message} [{id}]' "$root/proxy"
}

run_analyzer() {
    quietly cmake -S "$root" -B "$root/build/analyzer" -G Ninja -DCMAKE_C_COMPILER=gcc \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPSGATE_WERROR=ON -DPSGATE_TESTS=OFF \
        -DCMAKE_C_FLAGS=-fanalyzer &&
        quietly cmake --build "$root/build/analyzer" -- -k 0
}

# A process a file: in a process of several, clang-tidy 14 takes every va_list for uninitialized.
run_tidy() {
    local said
    quietly cmake -S "$root" -B "$root/build/analyzer" -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
        -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPSGATE_TESTS=OFF || return 1
    # The admin page's assets and the compiled-in table are made by the build.
    quietly cmake --build "$root/build/analyzer" -- -k 0 || true
    if ! said=$(find "$root/proxy" -name '*.c' -print0 |
        xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p "$root/build/analyzer" 2>/dev/null); then
        printf '%s\n' "$said"
        return 1
    fi
}

trap 'explain_exit $?' EXIT
tools=()
while (($# > 0)); do
    case $1 in
    cppcheck | analyzer | tidy) tools+=("$1") ;;
    -h | --help)
        usage
        exit
        ;;
    *) misused "unknown tool: $1" ;;
    esac
    shift
done
((${#tools[@]} > 0)) || tools=(cppcheck analyzer tidy)
need_packages "${build_packages[@]}" cppcheck clang-tidy
failed=()
for tool in "${tools[@]}"; do
    "run_$tool" || failed+=("$tool")
done
((${#failed[@]} == 0)) || die "findings of: ${failed[*]} (mend them, or answer them in their place)"
