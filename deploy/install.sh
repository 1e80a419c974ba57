# shellcheck shell=bash
# How scripts install what they need; sourced, never run. Every step that talks to a package registry is tried twice, and
# nothing is installed that is already there, or that another script is installing: it waits for that.

# again COMMAND…: run it, and once more after a short wait if it failed.
again() {
    "$@" && return 0
    echo "again in 10 s: $*" >&2
    sleep 10
    "$@"
}

# alone THING COMMAND…: run it while no other script does anything to that thing.
alone() {
    local lock
    lock=${TMPDIR:-/tmp}/reverie-$(id -u)$(realpath --canonicalize-missing "$1" | tr / -).lock
    shift
    (
        flock 9
        "$@"
    ) 9>"$lock"
}

# debian_packages PACKAGE…: make sure that these Debian packages are installed.
debian_packages() { alone /var/lib/dpkg install_debian_packages "$@"; }

install_debian_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep --quiet 'ok installed$' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "installing ${missing[*]}"
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    again "${root[@]}" apt-get update --quiet=2
    again "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# python_environment FOLDER REQUIREMENTS: a virtual environment with exactly the packages of that file. It is reused
# while the file stays the same, and made anew otherwise.
python_environment() { alone "$1" make_python_environment "$@"; }

make_python_environment() {
    local folder=$1 requirements=$2
    cmp --silent "$requirements" "$folder/installed-requirements.txt" && return 0
    python3 -c 'import ensurepip, venv' 2>/dev/null || debian_packages python3 python3-venv
    echo "installing $requirements"
    rm -rf "$folder"
    python3 -m venv "$folder"
    again "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$requirements"
    cp "$requirements" "$folder/installed-requirements.txt"
}

# cargo_tool NAME VERSION: a cargo subcommand of exactly that version, built from its own lock file, and not optimised: it is
# used once.
cargo_tool() {
    local name=$1 version=$2
    [ "$("$name" --version 2>/dev/null)" = "$name $version" ] && return 0
    again cargo install --quiet --debug --locked --force --version "$version" "$name"
}

# node_packages FOLDER: exactly what the folder's package-lock.json says, without running anything of it.
node_packages() { alone "$1/node_modules" install_node_packages "$@"; }

install_node_packages() {
    local folder=$1
    cmp --silent "$folder/package-lock.json" "$folder/node_modules/installed-lock.json" && return 0
    again npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent
    cp "$folder/package-lock.json" "$folder/node_modules/installed-lock.json"
}
