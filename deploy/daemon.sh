# shellcheck shell=bash
# How scripts wait for a daemon that they started; sourced, never run.

# said PATTERN FILE PROCESS: what a process said that has the pattern, once it has said it.
said() {
    local pattern=$1 file=$2 process=$3
    for _ in $(seq 600); do
        grep --only-matching --max-count=1 "$pattern" "$file" && return 0
        kill -0 "$process" 2>/dev/null || break
        sleep 0.2
    done
    cat "$file" >&2
    return 1
}

# address_of LOG PROCESS: where a daemon listens, once it is ready; without a slash at the end.
address_of() {
    local said
    said=$(said 'ready at http:[^ ]*' "$1" "$2") || return 1
    said=${said#ready at }
    echo "${said%/}"
}
