# Locale, time zone and services of the new system; runs inside it by chroot, where no service can be started.
zone='Europe/Berlin'
if [ ! -e "/usr/share/zoneinfo/$zone" ]; then
    echo "the time zone $zone is not known to this system" >&2
    exit 1
fi
ln -sf "/usr/share/zoneinfo/$zone" /etc/localtime
# Base images bring the usual locales, because making one takes long.
if [ "$(LC_ALL='de_DE.UTF-8' locale charmap 2>/dev/null)" != UTF-8 ]; then locale-gen; fi
# Without this the console keeps the keyboard that was cached when the base system was built.
setupcon --save-only
: > /etc/machine-id
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
systemctl --quiet enable systemd-networkd systemd-resolved systemd-timesyncd ssh

systemctl --quiet enable serial-getty@'ttyS0'.service

