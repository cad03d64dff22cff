#!/bin/sh
# Takes out of the base system in ROOT what belongs to one machine or to this build; runs inside mmdebstrap: see build.sh.
set -eu

root=$1
echo "progress 86 taking out what belongs to one machine" >&2
rm -f "$root/etc/ssh/"ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed" \
    "$root/etc/hostname" "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
# systemd makes a new identity when this file is empty.
: > "$root/etc/machine-id"
echo '# Package sources are written when the system is configured.' > "$root/etc/apt/sources.list"
# Making a locale takes a slow machine half a minute, and these cost half a megabyte: their rules of order are shared.
echo "progress 87 making the usual locales" >&2
for locale in en_US en_GB de_DE de_AT de_CH fr_FR it_IT nl_NL; do
    # Without the aliases (`german`): the newest Debian has no file of them where the older ones have it.
    chroot "$root" localedef -i "$locale" -f UTF-8 "$locale.UTF-8"
done
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved systemd-timesyncd ssh
