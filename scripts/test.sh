#!/usr/bin/env bash
# The test command: installs the real counterparts that the tests compare barograph with, then runs every test.
#
#   bash scripts/test.sh                     everything
#   bash scripts/test.sh --test notebook     arguments go on to `cargo test`
#
# Needs the Rust toolchain. All it installs goes below one cache folder (no root, no service is started, nothing
# outside that folder changes), and only once. What cannot be installed is named with the reason; the tests that need
# it then skip, naming it again. With CI=true that is a failure instead, so that nothing is skipped in silence there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/barograph"
debian_packages=(prometheus prometheus-node-exporter victoria-metrics)
requirements="$root/scripts/requirements.txt"
missing=0

say() { printf 'test.sh: %s\n' "$*"; }

# Names what is not there and why; the tests that need it find out by themselves.
lacking() {
    say "NOT INSTALLED: $1"
    say "  because: $2"
    say "  the tests that need it will skip"
    missing=1
}

is_root() { [ "$(id -u)" = 0 ]; }

# The reason a command failed with: the last lines it wrote.
reason() { tail -n 3 "$1" | tr '\n' ' '; }

install_debian() {
    local into="$cache/debian" stamp="$cache/debian/.packages" log="$cache/debian.log" work
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "${debian_packages[*]}" ]; then
        say "Debian packages: already in $into"
        return
    fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        lacking "${debian_packages[*]}" "this is no Debian: apt-get or dpkg-deb is missing"
        return
    fi
    say "Debian packages: downloading ${debian_packages[*]} and unpacking them into $into"
    work=$(mktemp -d "$cache/download.XXXXXX")
    # Run as root, apt would fetch as a user who cannot write below a home directory.
    local fetch=(apt-get -o APT::Sandbox::User=root download "${debian_packages[@]}")
    is_root || fetch=(apt-get download "${debian_packages[@]}")
    if ! (cd "$work" && "${fetch[@]}") >"$log" 2>&1; then
        # Fresh containers have no package lists, and old ones point at versions that are gone.
        if ! is_root; then
            lacking "${debian_packages[*]}" "$(reason "$log") (as root: apt-get update)"
            rm -rf "$work"
            return
        fi
        say "Debian packages: the package lists are missing or old, running apt-get update"
        if ! (apt-get update && cd "$work" && "${fetch[@]}") >"$log" 2>&1; then
            lacking "${debian_packages[*]}" "$(reason "$log")"
            rm -rf "$work"
            return
        fi
    fi
    rm -rf "$into"
    mkdir -p "$into"
    local package
    for package in "$work"/*.deb; do
        if ! dpkg-deb -x "$package" "$into" >>"$log" 2>&1; then
            lacking "$(basename "$package")" "$(reason "$log")"
            rm -rf "$work"
            return
        fi
    done
    rm -rf "$work"
    local program
    for program in "${debian_packages[@]}"; do
        if ! "$into/usr/bin/$program" --version >"$log" 2>&1; then
            lacking "$program" "it is unpacked but does not start: $(reason "$log")"
            return
        fi
    done
    echo "${debian_packages[*]}" >"$stamp"
}

install_python() {
    local venv="$cache/venv" stamp="$cache/venv/.requirements" log="$cache/venv.log"
    if [ -f "$stamp" ] && cmp -s "$requirements" "$stamp" && "$venv/bin/python" -c '' 2>/dev/null; then
        say "Python packages: already in $venv"
        return
    fi
    local wanted
    wanted=$(grep -v '^#' "$requirements" | tr '\n' ' ')
    if ! { command -v python3 && python3 -c 'import venv, ensurepip'; } >"$log" 2>&1; then
        if is_root && command -v apt-get >/dev/null; then
            say "Python: installing Debian's python3 and python3-venv"
            if ! { apt-get install -y --no-install-recommends python3 python3-venv ||
                { apt-get update && apt-get install -y --no-install-recommends python3 python3-venv; }; } >"$log" 2>&1; then
                lacking "$wanted" "Debian's python3-venv cannot be installed: $(reason "$log")"
                return
            fi
        else
            lacking "$wanted" "python3 with its venv module is missing (on Debian: apt-get install python3 python3-venv)"
            return
        fi
    fi
    say "Python packages: installing $wanted into $venv"
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >"$log" 2>&1; then
        lacking "$wanted" "python3 -m venv failed: $(reason "$log")"
        return
    fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >"$log" 2>&1; then
        lacking "$wanted" "pip failed: $(reason "$log")"
        # Half a venv must not look like a whole one to the tests.
        rm -rf "$venv"
        return
    fi
    cp "$requirements" "$stamp"
}

if ! command -v cargo >/dev/null; then
    say "the Rust toolchain is missing: cargo is not on the PATH" >&2
    exit 1
fi

say "the tests compare barograph with real counterparts; what is not there yet is installed below $cache:"
say "  from Debian: ${debian_packages[*]}"
say "  from Python's package index: $(grep -v '^#' "$requirements" | tr '\n' ' ')"
mkdir -p "$cache"
# Two runs at once must not unpack over each other; where flock is missing they are on their own.
exec 9>"$cache/install.lock"
if command -v flock >/dev/null; then flock 9; fi
install_debian
install_python
exec 9>&-

if [ "$missing" = 1 ] && [ "${CI:-}" = true ]; then
    say "CI=true, and something is not installed (see above): stopping, for tests would skip" >&2
    exit 1
fi

cd "$root"
say "cargo test --workspace --no-fail-fast $*"
exec cargo test --workspace --no-fail-fast "$@"
