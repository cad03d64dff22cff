#!/bin/sh
# Builds the installer image: vmlinuz, initramfs (stage 1: kernel, network, agent) and tools.squashfs (stage 2: what an
# installation or a rescue needs). Progress goes to stdout as `progress PERCENT TEXT`, everything else to stderr.
# Runs as root, or without root where the machine allows user namespaces. It never touches the machine outside DIR.
set -eu

usage() {
    echo "usage: build.sh --agent PATH --out DIR [--suite trixie|bookworm]" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=pxe/lib/mirror.sh
. "$here/../lib/mirror.sh"
# shellcheck source=pxe/lib/bootstrap.sh
. "$here/../lib/bootstrap.sh"

# `scratch` comes from bootstrap_begin.
scratch='' agent='' out='' suite=trixie
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --agent) agent=$2 ;;
        --out) out=$2 ;;
        --suite) suite=$2 ;;
        *) usage ;;
    esac
    shift 2
done
if [ -z "$agent" ] || [ -z "$out" ]; then usage; fi
[ -f "$agent" ] || { echo "the agent '$agent' does not exist: build it first" >&2; exit 1; }

tools=e2fsprogs,xfsprogs,btrfs-progs,dosfstools,util-linux,mount,fdisk,gdisk,parted,tar,zstd,xz-utils,kmod
tools=$tools,mdadm,lvm2,cryptsetup-bin,efibootmgr,debootstrap,debian-archive-keyring,gpgv
# Debian 12 has it in its backports only.
[ "$suite" = bookworm ] || tools=$tools,ubuntu-keyring
tools=$tools,openssh-server,iproute2,iputils-ping,ca-certificates,bash,less,nano,busybox-static

mkdir -p "$out"
bootstrap_begin
for name in assemble.sh init udhcpc.sh modprobe.sh modules.initramfs modules.tools; do
    cp "$here/$name" "$scratch/recipe/$name"
done
cp "$agent" "$scratch/recipe/lotse-agent"
chmod -R a+rX "$scratch/recipe"

# Step by step: the tool system, then (with mmdebstrap's root, real or not) the three files made from it.
bootstrap_run "$suite" 0 60 \
    --variant=essential --include="$tools" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/lintian/*' --dpkgopt='path-exclude=/usr/share/bug/*' \
    --customize-hook="copy-in $scratch/recipe /" \
    --customize-hook="sh $scratch/recipe/assemble.sh \"\$1\"" \
    --customize-hook="download /made/vmlinuz $scratch/vmlinuz" \
    --customize-hook="download /made/initramfs $scratch/initramfs" \
    --customize-hook="download /made/tools.squashfs $scratch/tools.squashfs" \
    --format=null -- "$suite" -

for name in vmlinuz initramfs tools.squashfs; do
    mv "$scratch/$name" "$out/$name.new"
    chmod 644 "$out/$name.new"
    mv "$out/$name.new" "$out/$name"
done
echo "progress 100 installer image is ready"
