#!/bin/sh
# Makes the three files of the installer image from the tool system in ROOT; runs as root (or mmdebstrap's stand-in for it)
# inside mmdebstrap. Reads ROOT/recipe, writes ROOT/made. Not meant to be called by hand: see build.sh.
set -eu

root=$1
recipe=$root/recipe
made=$root/made
stage1=$root/stage1
mkdir -p "$made" "$stage1"

progress() { echo "progress $*" >&2; }

# The kernel is unpacked, not installed: nothing here needs its package scripts or Debian's own initramfs.
progress 62 fetching the kernel
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
mkdir "$root/kernel"
(cd "$root/kernel" && apt-get -q -o APT::Sandbox::User=root download "$package" && dpkg-deb -x ./*.deb .)
version=${package#linux-image-}
version=${version%-unsigned}
cp "$root/kernel/boot/vmlinuz-$version" "$made/vmlinuz"
tree=$root/kernel/lib/modules/$version
[ -d "$tree" ] || tree=$root/kernel/usr/lib/modules/$version
# Inside a compressed archive, modules that are compressed one by one only cost space, and busybox time.
find "$tree" -name '*.ko.xz' -exec xz -d -T0 {} +
mkdir -p "$root/kernel/for-depmod/lib/modules"
ln -s "$tree" "$root/kernel/for-depmod/lib/modules/$version"
depmod -b "$root/kernel/for-depmod" "$version"

# copy_modules LIST DESTINATION: the listed modules with their dependencies, and their index.
copy_modules() {
    target=$2/lib/modules/$version
    mkdir -p "$target"
    awk -v list="$1" '
        BEGIN {
            while ((getline line < list) > 0) {
                if (line == "" || line ~ /^#/) continue
                if (sub(/^!/, "", line)) without[line] = 1
                else with[line] = 1
            }
        }
        function listed(set, path,   entry, name) {
            name = path; sub(/.*\//, "", name); sub(/\.ko$/, "", name)
            if (name in set) return 1
            for (entry in set) if (entry ~ /\/$/ && index(path, entry) == 1) return 1
            return 0
        }
        {
            sub(/:$/, "", $1)
            chain[$1] = $0
            if (listed(with, $1) && !listed(without, $1)) want[$1] = 1
        }
        END {
            for (path in want) { count = split(chain[path], part, " "); for (i = 1; i <= count; i++) keep[part[i]] = 1 }
            for (path in keep) print path
        }' "$tree/modules.dep" > "$root/kernel/list"
    (cd "$tree" && cpio -pdm --quiet "$target" < "$root/kernel/list")
    cp "$tree/modules.order" "$tree/modules.builtin" "$tree/modules.builtin.modinfo" "$target/"
    depmod -b "$2" "$version"
}

progress 70 choosing kernel modules
ln -s usr/lib "$stage1/lib" && ln -s usr/bin "$stage1/bin" && ln -s usr/bin "$stage1/sbin" && ln -s usr/lib64 "$stage1/lib64"
mkdir -p "$stage1/usr/lib" "$stage1/usr/bin" "$stage1/usr/lib64" "$stage1/etc" "$stage1/root" "$stage1/target"
for directory in proc sys dev run tmp mnt; do mkdir "$stage1/$directory"; done
copy_modules "$recipe/modules.initramfs" "$stage1"

progress 74 adding the agent
cp "$root/usr/bin/busybox" "$stage1/usr/bin/busybox"
"$root/usr/bin/busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$stage1/usr/bin/$applet"
done
install -m 755 "$recipe/lotse-agent" "$stage1/usr/bin/lotse-agent"
install -m 755 "$recipe/init" "$stage1/init"
install -m 755 "$recipe/udhcpc.sh" "$stage1/usr/bin/lotse-dhcp"
install -m 755 "$recipe/modprobe.sh" "$stage1/usr/bin/lotse-modprobe"
echo 'root:x:0:0:root:/root:/bin/sh' > "$stage1/etc/passwd"
echo 'root:x:0:' > "$stage1/etc/group"
echo '127.0.0.1 localhost' > "$stage1/etc/hosts"
# The libraries that the agent names, from this suite; a static agent names none.
(chroot "$root" ldd /recipe/lotse-agent 2> /dev/null || true) \
    | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i }' | while read -r library; do
        mkdir -p "$stage1$(dirname "$library")"
        cp -L "$root$library" "$stage1$library"
    done

progress 78 packing the initramfs
(cd "$stage1" && find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc --quiet -R 0:0 | zstd -q -19 -T0 > "$made/initramfs")

progress 85 packing the tool set
copy_modules "$recipe/modules.tools" "$root"
rm -rf "$root/etc/ssh/"ssh_host_* "$root/usr/share/locale" "$root/usr/share/i18n"
: > "$root/etc/machine-id"
: > "$root/etc/resolv.conf"
mkdir -p "$root/target" "$root/run/sshd"
# What mmdebstrap cleans away only after this hook stays out by name.
mksquashfs "$root" "$made/tools.squashfs" -quiet -no-progress -comp zstd -Xcompression-level 19 -b 256K -noappend \
    -wildcards -e made recipe kernel stage1 'proc/*' 'sys/*' 'dev/*' 'tmp/*' 'run/*' 'var/lib/apt/lists/*' \
    'var/cache/*' 'var/log/*' 'boot/*' >&2
progress 98 checking
