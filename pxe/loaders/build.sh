#!/bin/sh
# Fetches what firmware loads first over the network, into DIR: undionly.kpxe (BIOS), ipxe.efi (UEFI), and for Secure Boot
# shimx64.efi with its mmx64.efi, and grubx64.efi (Debian's signed network GRUB). They come from a suite, not from this machine: the iPXE of
# Debian 12 is too old to start a local disk on UEFI. Progress goes to stdout, everything else to stderr.
set -eu

usage() {
    echo "usage: build.sh --out DIR [--suite trixie]" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=pxe/lib/mirror.sh
. "$here/../lib/mirror.sh"
# shellcheck source=pxe/lib/bootstrap.sh
. "$here/../lib/bootstrap.sh"

# `scratch` comes from bootstrap_begin.
scratch='' out='' suite=trixie
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --out) out=$2 ;;
        --suite) suite=$2 ;;
        *) usage ;;
    esac
    shift 2
done
[ -n "$out" ] || usage

mkdir -p "$out"
bootstrap_begin
# snponly.efi drives the card through the firmware: it starts on every card that the firmware itself could boot from.
bootstrap_run "$suite" 0 90 --variant=extract --include=ipxe,shim-signed,shim-helpers-amd64-signed,grub-efi-amd64-signed \
    --extract-hook="download /usr/lib/ipxe/undionly.kpxe $scratch/undionly.kpxe" \
    --extract-hook="download /usr/lib/ipxe/snponly.efi $scratch/ipxe.efi" \
    --extract-hook="download /usr/lib/shim/shimx64.efi.signed $scratch/shimx64.efi" \
    --extract-hook="download /usr/lib/shim/mmx64.efi.signed $scratch/mmx64.efi" \
    --extract-hook="download /usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed $scratch/grubx64.efi" \
    --format=null -- "$suite" -
for name in undionly.kpxe ipxe.efi shimx64.efi mmx64.efi grubx64.efi; do
    install -m 644 "$scratch/$name" "$out/$name.new"
    mv "$out/$name.new" "$out/$name"
done
echo "progress 100 network boot loaders are ready"
