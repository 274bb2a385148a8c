# shellcheck shell=bash
# Debian packages: which are missing, and how they come in. Sourced after messages.sh.

# What it takes to build psgate and to try it out.
# shellcheck disable=SC2034  # for whoever sources this
build_packages=(
    gcc libc6-dev cmake ninja-build pkg-config
    libevent-dev libevhtp-dev libssl-dev libjansson-dev libcurl4-openssl-dev libhiredis-dev libsystemd-dev zlib1g-dev libzstd-dev
    libseccomp-dev libcap-dev libjs-dygraphs
    curl ca-certificates
)

# A package of two architectures has two lines.
is_installed() {
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# Quiet when it goes well; all that apt said when not.
apt_quietly() {
    local said
    if ! said=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}

install_packages() {
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        die "not root, and there is no sudo: run  apt-get install $*  as root, then start again"
    fi
    say "Installing them with apt-get (this may take a minute)"
    apt_quietly update || warn "apt-get update failed: trying with the package lists as they are"
    apt_quietly install -y --no-install-recommends "$@" ||
        die "apt-get could not install: $* (its own words are above)"
}

# need_packages NAME...: says which are missing, and installs them.
need_packages() {
    local package missing=()
    if ! command -v dpkg-query >/dev/null; then
        warn "this is not Debian: taking it that these are there: $*"
        return
    fi
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    if ((${#missing[@]} > 0)); then
        say "Missing packages: ${missing[*]}"
        install_packages "${missing[@]}"
    fi
}
