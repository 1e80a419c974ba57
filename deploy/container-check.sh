#!/usr/bin/env bash
# Builds the image from the Dockerfile as it stands and puts it through what it promises: it starts with nothing beside it,
# on a read-only root, without a capability, as an ordinary user, under a memory limit and without a network; it becomes
# healthy by its own command, answers a chat with a picture, and leaves with 0 when told to. In hardly more memory than it
# takes idle it answers what it can hold and refuses the rest; in less it does not start, and says why.
#
#     deploy/container-check.sh            build and check
#     deploy/container-check.sh build      build only
#     deploy/container-check.sh bases      what the build stands on only
#
# No image registry is needed: both bases are made here from Debian's packages, and the compiler is this machine's own,
# mounted into the build. Everything is kept apart from the machine's other containers:
#   REVERIE_CONTAINER_CACHE   bases, images, compiled dependencies   (~/.cache/reverie-container)
#   REVERIE_CONTAINER_MEMORY  the memory limit of the run            (2g)
#   REVERIE_TIGHT_MEMORY      the limit under which it is crowded    (160m)
#   REVERIE_READY_SECONDS     how long the start may take            (120)
#   REVERIE_DRAIN_SECONDS     how long the way out may take          (40)
# Needs root: it makes a root file system and runs containers.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/install.sh

cache=${REVERIE_CONTAINER_CACHE:-${HOME:?}/.cache/reverie-container}
memory=${REVERIE_CONTAINER_MEMORY:-2g}
tight_memory=${REVERIE_TIGHT_MEMORY:-160m}
ready_seconds=${REVERIE_READY_SECONDS:-120}
drain_seconds=${REVERIE_DRAIN_SECONDS:-40}
image=localhost/reverie:check
debian_base=localhost/reverie-base-debian:bookworm
rust_base=localhost/reverie-base-rust:bookworm
name=reverie-check-$$
work=$(mktemp -d)
storage=(--root "$cache/storage" --runroot "$cache/run")

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

cleanup() {
    [ -z "${CONTAINERS_CONF:-}" ] || podman_ rm --force --volumes "$name" >/dev/null 2>&1 || true
    rm -rf "$work" 2>/dev/null || true
}
trap cleanup EXIT

podman_() { podman --log-level error "${storage[@]}" --runtime runc "$@"; }

# Both tools as plainly as they go: no systemd, no limits above this machine's own.
configure() {
    cat >"$work/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
    export CONTAINERS_CONF=$work/containers.conf
    export DISABLE_HC_SYSTEMD=true # no timer for the health command: it is asked below
    export TMPDIR=$cache/tmp # also where the build's cache mounts live
    mkdir -p "$cache/storage" "$TMPDIR"
}

# debian_tree FOLDER PACKAGES: Debian's own packages, unpacked into a folder.
debian_tree() {
    rm -rf "$1"
    debootstrap --variant=minbase ${2:+--include="$2"} bookworm "$1" >"$work/debootstrap.log"
}

# base IMAGE PACKAGES CHANGE…: a Debian root file system as an image, made once.
base() {
    local base_image=$1 packages=$2 tree=$work/tree
    shift 2
    podman_ image exists "$base_image" && { echo "$base_image is there"; return 0; }
    again debian_tree "$tree" "$packages" || fail "debootstrap: $(tail -n 20 "$work/debootstrap.log")"
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
    local changes=() change
    for change in "$@"; do changes+=(--change "$change"); done
    tar --directory "$tree" --create --one-file-system . | podman_ import --quiet "${changes[@]}" - "$base_image" >/dev/null
    rm -rf "$tree"
    echo "made $base_image"
}

bases() {
    say "bases, without a registry"
    base "$debian_base" "" "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    base "$rust_base" gcc,libc6-dev,ca-certificates \
        "ENV CARGO_HOME=/usr/local/cargo" \
        "ENV PATH=/usr/local/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    python_environment "$cache/hadolint" deploy/container-requirements.txt
}

build() {
    say "hadolint Dockerfile"
    "$cache/hadolint/bin/hadolint" Dockerfile
    echo "clean"

    say "the Dockerfile as it stands"
    local started=$SECONDS
    buildah --log-level error "${storage[@]}" bud --isolation chroot --format docker --pull-never --layers=false \
        --network host --volume "$(rustc --print sysroot):/usr/local/toolchain:ro" --volume /etc/ssl/certs:/etc/ssl/certs:ro \
        --build-arg RUST_IMAGE="$rust_base" --build-arg RUNTIME_IMAGE="$debian_base" --tag "$image" . </dev/null
    podman_ image inspect --format \
        'user {{.Config.User}}, entrypoint {{.Config.Entrypoint}}, command {{.Config.Cmd}}, stop {{.Config.StopSignal}}, health {{.Config.Healthcheck.Test}}' \
        "$image"
    podman_ image inspect --format '{{.Size}}' "$image" "$debian_base" |
        awk '{ size[NR] = $1 / 1e6 } END { printf "%.0f MB, of which the base is %.0f MB\n", size[1], size[2] }'
    podman_ image prune --force >/dev/null # what this build has replaced
    echo "built in $((SECONDS - started)) s"
}

wait_until_healthy() {
    local started=$SECONDS
    until podman_ healthcheck run "$name" >/dev/null 2>&1; do
        [ "$(podman_ inspect --format '{{.State.Running}}' "$name")" = true ] ||
            { podman_ logs "$name" >&2; fail "it stopped before it was healthy"; }
        [ $((SECONDS - started)) -lt "$ready_seconds" ] ||
            { podman_ logs "$name" >&2; fail "not healthy after $ready_seconds s"; }
        sleep 1
    done
    echo "healthy after $((SECONDS - started)) s"
}

# inside COMMAND…: this machine's tool in the container's network, which has nothing but a loopback.
inside() { nsenter --target "$(podman_ inspect --format '{{.State.Pid}}' "$name")" --net "$@"; }

# run MEMORY: the image as it is meant to be run.
run() {
    podman_ run --detach --name "$name" --pull never --network none --read-only --read-only-tmpfs=false \
        --tmpfs /tmp:size=64m --cap-drop ALL --security-opt no-new-privileges --memory "$1" --memory-swap "$1" \
        --pids-limit 512 "$image" >/dev/null
}

# chat REQUEST ANSWER: sends it, and prints the status.
chat() {
    inside curl --silent --show-error --max-time 300 --output "$2" --write-out '%{http_code}\n' \
        http://127.0.0.1:8000/v1/chat/completions --header 'content-type: application/json' --data "@$1"
}

check() {
    say "run: read-only, no capability, no network, uid 10001, $memory of memory"
    run "$memory"
    wait_until_healthy
    local pid
    pid=$(podman_ inspect --format '{{.State.Pid}}' "$name")
    grep -E '^(Uid|Gid|CapEff|CapBnd|NoNewPrivs):' "/proc/$pid/status"
    grep --quiet '^Uid:.10001.10001.10001.10001$' "/proc/$pid/status" || fail "not uid 10001"
    grep --quiet '^CapBnd:.0000000000000000$' "/proc/$pid/status" || fail "it has capabilities"
    grep --quiet '^NoNewPrivs:.1$' "/proc/$pid/status" || fail "it may gain privileges"
    podman_ exec "$name" /bin/sh -c ': >/usr/local/probe' 2>/dev/null && fail "the root is writable"
    local unpacked
    unpacked=$(podman_ exec "$name" /bin/sh -c 'ls -d /tmp/reverie/default-checkpoint-*') ||
        fail "the built-in checkpoint is not below /tmp"
    echo "the root is read-only, and the built-in checkpoint in $unpacked"
    # 1F40 is 8000, and 00000000 every address.
    grep --quiet ' 00000000:1F40 ' "/proc/$pid/net/tcp" || fail "not listening on 0.0.0.0:8000"
    echo "listening on 0.0.0.0:8000"

    say "one chat"
    local model
    model=$(inside curl --silent --show-error --fail-with-body --max-time 10 http://127.0.0.1:8000/v1/models |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])')
    sed "s|MODEL|$model|" tests/container/chat.json >"$work/chat.json"
    [ "$(chat "$work/chat.json" "$work/answer.json")" = 200 ] ||
        { cat "$work/answer.json" >&2; podman_ logs "$name" >&2; fail "the chat was refused"; }
    python3 tests/container/check_answer.py "$work/answer.json"
    awk '/^VmHWM:/ { printf "at most %.0f MB were resident\n", $2 * 1024 / 1e6 }' "/proc/$pid/status"

    say "SIGTERM"
    local started=$SECONDS code
    podman_ kill --signal TERM "$name" >/dev/null
    code=$(timeout "$drain_seconds" podman --log-level error "${storage[@]}" wait "$name") ||
        { podman_ logs "$name" >&2; fail "still there after $drain_seconds s"; }
    echo "exit code $code after $((SECONDS - started)) s"
    [ "$(podman_ inspect --format '{{.State.OOMKilled}}' "$name")" = false ] || fail "killed for memory"
    [ "$code" = 0 ] || { podman_ logs "$name" >&2; fail "exit code $code"; }
    podman_ rm "$name" >/dev/null
}

# The memory that is there decides at the start how much is taken on; nobody is killed for want of it.
check_tight() {
    say "24 chats at once in $tight_memory of memory"
    run "$tight_memory"
    wait_until_healthy
    local number
    for number in $(seq 24); do
        chat "$work/chat.json" "$work/answer-$number.json" >"$work/status-$number" &
    done
    wait
    sort "$work"/status-* | uniq --count
    grep --quiet --line-regexp 200 "$work"/status-* || fail "nobody was answered"
    ! cat "$work"/status-* | grep --quiet --invert-match --line-regexp --regexp 200 --regexp 429 ||
        { podman_ logs "$name" >&2; fail "neither answered nor refused"; }
    [ "$(chat "$work/chat.json" "$work/answer.json")" = 200 ] || fail "the chat after them was refused"
    python3 tests/container/check_answer.py "$work/answer.json"
    podman_ logs "$name" 2>&1 | grep "worker has ended" && fail "a worker did not live through it"
    podman_ kill --signal TERM "$name" >/dev/null
    timeout "$drain_seconds" podman --log-level error "${storage[@]}" wait "$name" >/dev/null ||
        fail "still there after $drain_seconds s"
    [ "$(podman_ inspect --format '{{.State.OOMKilled}}' "$name")" = false ] || fail "killed for memory"
    podman_ rm "$name" >/dev/null

    say "64m, in which the model has no place"
    run 64m
    [ "$(timeout "$drain_seconds" podman --log-level error "${storage[@]}" wait "$name")" = 71 ] ||
        { podman_ logs "$name" >&2; fail "it did not end with 71"; }
    podman_ logs "$name" 2>&1 | grep "MiB are available" || fail "it does not say why"
}

[ "$(id -u)" -eq 0 ] || fail "needs root"
debian_packages podman buildah runc debootstrap curl ca-certificates util-linux
configure
alone "$cache" bases
[ "${1:-}" = bases ] && exit 0
build
[ "${1:-}" = build ] && exit 0
check
check_tight
say "the container keeps its promises"
