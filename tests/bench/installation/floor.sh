#!/bin/sh
# First process of the floor: what an installation cannot do without, in the shortest form that we know. It asks nobody, reports
# nothing and checks nothing: network, disk, archive, boot loader, restart. `floor.*` on the kernel command line says from where.
# What it writes on the serial line is what the benchmark times.
# shellcheck disable=SC2013,SC2046  # command-line words and module names are words
export PATH=/usr/sbin:/usr/bin:/sbin:/bin # A program that busybox has, too, is named by its path: its shell prefers its own.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2> /dev/null
mkdir -p /run/lotse /target
say() { echo "floor: $*" > /dev/ttyS0; }
fail() {
    say "failed at $1"
    exec poweroff -f
}
for word in $(cat /proc/cmdline); do case $word in floor.archive=*) archive=${word#*=} ;; esac; done

modprobe -abq af_packet nls_cp437 nls_ascii $(find /sys/devices -name modalias -exec cat {} + | sort -u) 2> /dev/null
ip link set eth0 up
udhcpc -q -n -i eth0 -s /usr/bin/lotse-dhcp > /dev/null 2>&1 || fail network
say has a network

printf 'label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\ntype=L\n' | /usr/sbin/sfdisk -q /dev/vda || fail partitioning
for module in crc16 mbcache jbd2 ext4; do [ ! -e "/modules/$module.ko" ] || insmod "/modules/$module.ko"; done
/usr/sbin/mkfs.ext4 -q -F /dev/vda2 || fail formatting
mount /dev/vda2 /target || fail mounting
say has a disk

wget -q -O - "$archive" | /usr/bin/zstd -d | /usr/bin/tar -x --numeric-owner --xattrs --xattrs-include='*' -C /target || fail unpacking
sync
say has a system

echo '/dev/vda2 / ext4 defaults 0 1' > /target/etc/fstab
echo floor > /target/etc/hostname
mkdir -p /target/etc/systemd/network /target/etc/default/grub.d /target/etc/systemd/system/multi-user.target.wants
printf '[Match]\nName=e*\n[Network]\nDHCP=yes\n' > /target/etc/systemd/network/20-floor.network
printf 'GRUB_TIMEOUT=2\nGRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\n' > /target/etc/default/grub.d/floor.cfg
cat > /target/etc/systemd/system/floor.service << 'UNIT'
[Unit]
Wants=network-online.target
After=network-online.target
[Service]
ExecStart=/bin/sh -c 'echo floor: the system is up > /dev/ttyS0'
UNIT
ln -s ../floor.service /target/etc/systemd/system/multi-user.target.wants/floor.service
for directory in dev proc sys; do mount -o bind "/$directory" "/target/$directory"; done
chroot /target grub-install --target=i386-pc /dev/vda > /dev/null 2>&1 || fail grub-install
chroot /target update-grub > /dev/null 2>&1 || fail update-grub
for directory in dev proc sys; do umount "/target/$directory"; done
umount /target
say has a boot loader
reboot -f
