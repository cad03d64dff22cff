#!/bin/sh
# Prints what the agent reads of a machine, for tests: `== PATH` and the content, `-- PATH` and the content in hexadecimal,
# `-> PATH TARGET` for a symbolic link. Needs only busybox: `sh capture.sh > MACHINE.txt`, then replace what identifies the machine.
text() {
    for file in "$@"; do
        if content=$(cat "$file" 2> /dev/null); then printf '== %s\n%s\n' "$file" "$content"; fi
    done
}
link() { for file in "$@"; do if [ -L "$file" ]; then echo "-> $file $(readlink "$file")"; fi; done; }

text /proc/cpuinfo /proc/meminfo /proc/cmdline /proc/sys/kernel/osrelease /proc/sys/kernel/hostname /etc/os-release \
    /sys/hypervisor/type /sys/devices/system/clocksource/clocksource0/available_clocksource \
    /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name /sys/class/dmi/id/product_serial \
    /sys/class/dmi/id/product_uuid /sys/class/dmi/id/bios_version
for disk in /sys/block/*; do
    link "$disk"
    for name in size ro removable hidden serial wwid queue/rotational queue/logical_block_size queue/physical_block_size \
        device/vendor device/model device/serial device/wwid device/name; do
        text "$disk/$name"
    done
    if [ -e "$disk/device/vpd_pg80" ]; then
        printf -- '-- %s\n%s\n' "$disk/device/vpd_pg80" "$(od -An -v -tx1 "$disk/device/vpd_pg80" | tr -d ' \n')"
    fi
    for file in "$disk"/*/partition; do text "$file" "${file%/*}/start" "${file%/*}/size"; done
    # A stick has its serial number in the USB device above it.
    real=$(readlink -f "$disk")
    case $real in
        */usb*) while [ "$real" != / ] && [ ! -e "$real/idVendor" ]; do real=${real%/*} && real=${real:-/}; done && text "$real/serial" ;;
    esac
done
for card in /sys/class/net/*; do
    link "$card/device" "$card/device/driver"
    text "$card/address" "$card/carrier" "$card/speed"
done
