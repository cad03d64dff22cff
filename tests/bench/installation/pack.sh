#!/bin/sh
# Packs what the floor needs beyond the installer's initramfs, behind which it is loaded: its first process, four programs of this
# machine, and the modules of its file system from the installer's tool set. pack.sh FIRST-PROCESS TOOLS-SQUASHFS OUT
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
add() {
    mkdir -p "$tree$(realpath "$(dirname "$1")")"
    cp -L "$1" "$tree$(realpath "$(dirname "$1")")/"
}
for name in sfdisk mkfs.ext4 zstd tar; do
    program=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v "$name")
    add "$program"
    ldd "$program" | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i }' | while read -r library; do add "$library"; done
done
add /etc/mke2fs.conf
mkdir "$tree/modules"
for name in lib/crc16 fs/mbcache fs/jbd2/jbd2 fs/ext4/ext4; do
    unsquashfs -q -n -f -d "$tree/tools" "$2" "usr/lib/modules/*/kernel/$name.ko" > /dev/null
done
find "$tree/tools" -name '*.ko' -exec mv {} "$tree/modules/" \;
rm -r "$tree/tools"
install -m 755 "$1" "$tree/floor"
(cd "$tree" && find . | cpio -o -H newc --quiet -R 0:0) > "$3"
