#!/usr/bin/env bash
# Makes the Debian package of psgate: the same bytes from the same sources.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=lib/messages.sh
source "$root/deploy/lib/messages.sh"
# shellcheck source=lib/packages.sh
source "$root/deploy/lib/packages.sh"
# shellcheck source=lib/build.sh
source "$root/deploy/lib/build.sh"

usage() {
    cat <<'END'
Usage: deploy/package.sh [--output FOLDER] [--revision N]

Builds the release preset and makes psgate_VERSION-REVISION_ARCHITECTURE.deb of it. What that
takes is installed if it is missing (Debian packages, as root or with sudo). The last line is
the package's path.

  --output FOLDER  where the package goes (default: build/package)
  --revision N     Debian's revision (default: 1)
  -h, --help       this text

The times in the package are $SOURCE_DATE_EPOCH, or when the changelog's last entry was made.
END
}

output=$root/build/package
revision=1

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --output | --revision)
            (($# > 1)) || misused "$1 needs a value"
            if [[ $1 == --output ]]; then output=$2; else revision=$2; fi
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
    [[ $revision =~ ^[0-9a-z.+~]+$ ]] || misused "not a revision: $revision"
}

last_change() {
    date -d "$(sed -n '/^ -- /{s/.*>  //p;q}' "$root/deploy/debian/changelog")" +%s
}

# Prints where the package is now.
make_package() {
    local made=$root/build/release/package packages
    rm -rf "$made"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(last_change)} quietly cpack -G DEB -B "$made" \
        -D "CPACK_DEBIAN_PACKAGE_RELEASE=$revision" --config "$root/build/release/CPackConfig.cmake" ||
        die "cpack failed (what it said is above)"
    packages=("$made"/*.deb)
    mkdir -p "$output"
    mv "${packages[0]}" "$output/"
    printf '%s\n' "$(realpath "$output")/${packages[0]##*/}"
}

trap 'explain_exit $?' EXIT
read_arguments "$@"
need_packages "${build_packages[@]}" dpkg-dev file
say "Building psgate (build/release)"
build_preset "$root" release || die "the build failed (what it said is above)"
say "Making the package"
make_package
