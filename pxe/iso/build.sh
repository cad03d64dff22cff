#!/bin/sh
# Builds one hybrid image that starts the installer from a CD or a USB stick, on BIOS and on UEFI, with Secure Boot or
# without (signed shim and GRUB). With an empty command line the machine looks for user-data of a cloud, and else asks on its console.
# Needs no root. Progress goes to stdout as `progress PERCENT TEXT`, everything else to stderr.
set -eu

usage() {
    echo "usage: build.sh --kernel FILE --initramfs FILE --cmdline 'WORD WORD ...' --out FILE.iso" >&2
    exit 2
}

kernel='' initramfs='' cmdline='' out=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --kernel) kernel=$2 ;;
        --initramfs) initramfs=$2 ;;
        --cmdline) cmdline=$2 ;;
        --out) out=$2 ;;
        *) usage ;;
    esac
    shift 2
done
if [ -z "$kernel" ] || [ -z "$initramfs" ] || [ -z "$out" ]; then usage; fi
# The words end up in a GRUB script: what could end a word or start an expansion there is refused.
case $cmdline in
    *[\;\&\|\<\>\$\\\"\'\{\}\`]*) echo "the kernel command line contains a character that GRUB would interpret: $cmdline" >&2; exit 2 ;;
esac
case " $cmdline" in
    *" console="*) ;;
    *) cmdline="console=ttyS0,115200 console=tty0 $cmdline" ;;
esac

shim=/usr/lib/shim/shimx64.efi.signed
grub=/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed
bios=/usr/lib/grub/i386-pc
for file in "$kernel" "$initramfs" "$shim" "$grub" "$bios/boot_hybrid.img"; do
    [ -r "$file" ] || { echo "'$file' is missing: run packaging/setup.sh, and build the installer image first" >&2; exit 1; }
done

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/lotse-iso.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
tree=$scratch/tree

echo "progress 10 laying out the image"
mkdir -p "$tree/boot/grub" "$tree/.disk"
# The signed GRUB finds its medium by this file.
echo "Lotse installer" > "$tree/.disk/info"
cp "$kernel" "$tree/boot/vmlinuz"
cp "$initramfs" "$tree/boot/initramfs"
cat > "$tree/boot/grub/grub.cfg" <<EOF
search --no-floppy --set=root --file /.disk/info
echo "Lotse: starting the installer ..."
linux /boot/vmlinuz $cmdline
initrd /boot/initramfs
boot
EOF

echo "progress 30 making the boot loaders"
grub-mkimage -O i386-pc-eltorito -p /boot/grub -o "$tree/boot/grub/bios.img" \
    biosdisk iso9660 part_msdos part_gpt normal configfile search search_fs_file linux echo test sleep
size_kib=$(( ($(stat -L -c %s "$shim") + $(stat -L -c %s "$grub")) / 1024 + 1024 ))
esp=$scratch/esp.img
truncate -s "${size_kib}K" "$esp"
mformat -i "$esp" -v LOTSE ::
mmd -i "$esp" ::/EFI ::/EFI/BOOT
mcopy -i "$esp" "$shim" ::/EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$grub" ::/EFI/BOOT/grubx64.efi

echo "progress 50 writing the image"
xorriso -as mkisofs -quiet -r -V LOTSE -o "$out.new" \
    --grub2-mbr "$bios/boot_hybrid.img" -partition_offset 16 --mbr-force-bootable \
    -append_partition 2 0xEF "$esp" -appended_part_as_gpt \
    -c boot/boot.catalog -b boot/grub/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
    -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
    "$tree" >&2
mv "$out.new" "$out"
echo "progress 100 image is ready"
