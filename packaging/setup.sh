#!/bin/sh
# shellcheck disable=SC2016,SC2086  # apt formats are not shell variables; package lists are lists of words
# Installs what building, running and testing Lotse needs on a Debian machine (12 or 13), and nothing twice:
# when everything is there it ends in well under a second. With `bench` also what only benchmarks need. Needs root (or sudo) only when something is missing.
# It does not install Rust itself: that is rustup's work, and the last line says so when cargo is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=pxe/lib/mirror.sh
. "$here/../pxe/lib/mirror.sh"

tools=${LOTSE_TOOLS:-${XDG_DATA_HOME:-$HOME/.local/share}/lotse-tools}
zigbuild=0.24
schemathesis=4.32
canaille=0.3
cs=5.2
libcloud=3.9
ansible=2.18

# On Debian 12 these come from backports: stable's QEMU is too old beside a backported qemu-utils.
emulator="qemu-system-x86 ovmf"
packages="build-essential ca-certificates curl git make pkg-config python3 python3-venv openssh-client iproute2
    mmdebstrap debootstrap debian-archive-keyring busybox-static squashfs-tools cpio zstd xz-utils kmod
    ipxe dnsmasq-base xorriso mtools dosfstools e2fsprogs xfsprogs btrfs-progs gdisk fdisk shellcheck
    python3-aiosmtpd slapd ldap-utils apt-utils gnupg gpgv cloud-image-utils libvirt-clients novnc restic
    grub-common grub-pc-bin grub-efi-amd64-bin grub-efi-amd64-signed shim-signed isolinux uidmap chromium"

step() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# missing PACKAGE...: prints those that dpkg does not have installed.
missing() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null \
        | awk '$1 == "installed" { print $2 }' | sort > "$scratch/installed"
    printf '%s\n' "$@" | sort | comm -23 - "$scratch/installed"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo > /dev/null; then sudo "$@"
    else die "must run '$*' as root: become root or install sudo, then run this again"; fi
}

# quietly COMMAND...: runs it; its output is shown only when it fails.
quietly() {
    if ! "$@" > "$scratch/log" 2>&1; then
        tail -n 30 "$scratch/log" >&2
        die "failed: $*"
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

command -v dpkg-query > /dev/null || die "this is not a Debian system: Lotse is developed on Debian 12 or 13"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! command -v postgres > /dev/null && ! ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1; then
    packages="$packages postgresql"
fi
want=$(missing $packages)
want_emulator=$(missing $emulator)

if [ -n "$want$want_emulator" ]; then
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    target=""
    if [ "$codename" = bookworm ]; then
        if [ -n "$want_emulator" ] && ! apt-get indextargets --format '$(RELEASE)' | grep -qx bookworm-backports; then
            step "adding bookworm-backports of this machine's mirror"
            printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm-backports main\n' \
                "$(mirror_uri)" > "$scratch/backports.list"
            as_root install -m 644 "$scratch/backports.list" /etc/apt/sources.list.d/lotse-backports.list
        fi
        target="-t bookworm-backports"
    fi
    step "reading package lists"
    quietly apt_get update
    if [ -n "$want_emulator" ]; then
        step "installing" $want_emulator

        quietly apt_get install --no-install-recommends $target $want_emulator
    fi
    if [ -n "$want" ]; then
        # PostgreSQL is wanted as a program that the tests start, not as a service of this machine.
        if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            as_root mkdir -p /etc/postgresql-common
            printf 'create_main_cluster = false\n' > "$scratch/createcluster.conf"
            as_root install -m 644 "$scratch/createcluster.conf" /etc/postgresql-common/createcluster.conf
        fi
        # So is slapd, which would otherwise ask for a domain and start at every boot.
        case " $(printf '%s' "$want" | tr '\n' ' ') " in *" slapd "*)
            echo 'slapd slapd/no_configuration boolean true' | as_root debconf-set-selections ;;
        esac
        step "installing" $want

        quietly apt_get install --no-install-recommends $want
    fi
fi

# The agent must run on glibc 2.28: zig links against that version whatever this machine has.
cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
if ! [ -x "$tools/bin/cargo-zigbuild" ] || ! [ -x "$cargo_bin/cargo-zigbuild" ]; then
    step "installing cargo-zigbuild $zigbuild and zig from PyPI into $tools"
    quietly python3 -m venv "$tools"
    quietly "$tools/bin/pip" install --quiet "cargo-zigbuild~=$zigbuild.0" ziglang
    mkdir -p "$cargo_bin"
    # cargo finds sub-commands in its own bin directory; zig is found through the PATH set here.
    printf '#!/bin/sh\nPATH=%s/bin:$PATH exec %s/bin/cargo-zigbuild "$@"\n' "$tools" "$tools" > "$cargo_bin/cargo-zigbuild"
    chmod 755 "$cargo_bin/cargo-zigbuild"
fi

# Asks the API everything that its description allows, and more; the tests find it here.
if ! "$tools/fuzz/bin/schemathesis" --version 2> /dev/null | grep -q " $schemathesis\."; then
    step "installing schemathesis $schemathesis from PyPI into $tools/fuzz"
    quietly python3 -m venv "$tools/fuzz"
    quietly "$tools/fuzz/bin/pip" install --quiet "schemathesis~=$schemathesis.0"
fi

# A login service (OpenID Connect) for the tests.
if ! ls -d "$tools"/login-service/lib/python3*/site-packages/canaille-"$canaille".*.dist-info > /dev/null 2>&1; then
    step "installing Canaille $canaille from PyPI into $tools/login-service"
    quietly python3 -m venv "$tools/login-service"
    quietly "$tools/login-service/bin/pip" install --quiet "canaille[front,oidc]~=$canaille.0"
fi

# Other people's clients of CloudStack, which check the one of the tests.
if ! ls -d "$tools"/clouds/lib/python3*/site-packages/apache_libcloud-"$libcloud".*.dist-info > /dev/null 2>&1; then
    step "installing cs $cs and Apache Libcloud $libcloud from PyPI into $tools/clouds"
    quietly python3 -m venv "$tools/clouds"
    quietly "$tools/clouds/bin/pip" install --quiet "cs~=$cs.0" "apache-libcloud~=$libcloud.0"
fi

# What the package cache is measured beside: unpacked and not installed, so that nothing of it begins to serve on this machine.
rivals=$tools/rivals
if [ "${1:-}" = bench ] && ! [ -x "$rivals/usr/sbin/apt-cacher-ng" ]; then
    step "unpacking nginx and apt-cacher-ng into $rivals"
    libraries=$(apt-cache depends nginx apt-cacher-ng | awk '$1 == "Depends:" && $2 ~ /^(lib|zlib)/ { print $2 }' | sort -u)
    # netbase: apt-cacher-ng asks for the number of TCP by its name.
    quietly apt_get install --no-install-recommends $libraries netbase
    (cd "$scratch" && quietly apt-get download nginx nginx-common apt-cacher-ng)
    mkdir -p "$rivals"
    for package in "$scratch"/*.deb; do dpkg-deb -x "$package" "$rivals"; done
fi

# What a rollout is measured beside.
if [ "${1:-}" = bench ] && ! "$tools/ansible/bin/ansible" --version 2> /dev/null | grep -q "core $ansible\."; then
    step "installing ansible-core $ansible from PyPI into $tools/ansible"
    quietly python3 -m venv "$tools/ansible"
    quietly "$tools/ansible/bin/pip" install --quiet "ansible-core~=$ansible.0"
fi

if ! command -v cargo > /dev/null && ! [ -x "$cargo_bin/cargo" ]; then
    die "Rust 1.95 or newer is missing: install it with rustup, then run this again"
fi
step "everything is installed"
