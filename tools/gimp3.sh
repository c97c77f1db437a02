#!/bin/sh
# Runs a command where there is a GIMP 3: gimp3.sh [testing] COMMAND ..., for instance gimp3.sh gimp-console --version.
# That is this machine where it has one itself (Debian 13). Else it is a Debian root below .cache with GIMP 3.0, or 3.2
# from Debian testing, which the first call makes within about 2 minutes. Making and entering it needs root.
# --make instead of a command only makes it, and prints which folder is / for the command; its /tmp can be written to.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
suite=trixie
root=$here/.cache/gimp3
if [ "${1:-}" = testing ]; then
    suite=$1
    root=$here/.cache/gimp32
    shift
elif gimp-console --version 2>/dev/null | grep -q ' 3\.'; then
    [ "${1:-}" != --make ] || exec echo /
    exec "$@"
fi

# The lock is for two that come at once: the second one waits, and finds it made.
mkdir -p "$here/.cache"
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/usr/bin/gimp-console" ]; then
    echo "Making a Debian with GIMP 3 in $root, which takes about 2 minutes." >&2
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
    rm -rf --one-file-system "$root.part" "$root"
    mmdebstrap --quiet --mode=root --variant=apt --skip=check/qemu \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include=gimp,fonts-dejavu-core,mount \
        "$suite" "$root.part" "$mirror" >&2
    mv "$root.part" "$root"
fi
exec 9>&-

[ "${1:-}" != --make ] || exec echo "$root"
# Nothing is mounted for GIMP 3.0. GIMP 3.2 reads its icons by bwrap, which runs in no chroot: a mount namespace of its
# own becomes the root. Nothing of it is left to unmount. X is reached through its abstract socket.
[ "$suite" = testing ] || exec /usr/sbin/chroot "$root" "$@"
exec unshare --mount --propagation private sh -c '
    set -e
    root=$1; shift
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    cd "$root"
    mkdir -p .old
    /usr/sbin/pivot_root . .old
    /usr/bin/umount -l /.old
    exec "$@"' sh "$root" "$@"
