#!/bin/sh
# Runs Krita 6 (Qt 6) out of a Debian unstable root, which is made below .cache at the first call: krita6.sh PROGRAM ARGUMENTS.
# Needs root. The HOME, the display and this folder are the outer machine's; --make only makes the root.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=$here/.cache/krita6
if [ ! -d "$root" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
    mkdir -p "$here/.cache"
    rm -rf "$root.part"
    mmdebstrap --quiet --variant=apt --skip=check/qemu \
        --aptopt='APT::Install-Recommends "false"' --aptopt='APT::Default-Release "experimental"' \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
        --include=krita/experimental,krita-data/experimental,python3-pyqt6/sid,qt6-svg-plugins/sid,fonts-dejavu-core,libgl1-mesa-dri \
        sid "$root.part" "deb $mirror sid main" "deb $mirror experimental main"
    mv "$root.part" "$root"
fi
[ "${1:-}" != --make ] || exit 0
# A mount namespace of its own: nothing is left to unmount. X is reached through its abstract socket.
exec unshare --mount sh -c '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    for folder in /tmp "$PWD"; do mkdir -p "$root$folder"; mount --rbind "$folder" "$root$folder"; done
    # The Python here cannot run in there. A daemon that the add-on starts steps out again, to where our caller is.
    if [ -d .venv/bin ]; then
        mount -t tmpfs tmpfs "$root$PWD/.venv/bin"
        for python in .venv/bin/python*; do
            printf "#!/bin/sh\nexec nsenter --target %s --mount --root --wdns=\"\$PWD\" \"\$0\" \"\$@\"\n" "$PPID" >"$root$PWD/$python"
            chmod +x "$root$PWD/$python"
        done
    fi
    exec /usr/sbin/chroot "$root" sh -c "cd \"\$0\" && exec \"\$@\"" "$PWD" "$@"
' sh "$root" "$@"
