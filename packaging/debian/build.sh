#!/bin/sh
# Builds a Debian package from programs that are built already.
set -eu

usage() {
    echo "usage: build.sh agent --program FILE --out FILE.deb | build.sh server --program FILE --agent FILE --agent-package FILE --out FILE.deb" >&2
    exit 2
}

top=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 1 ] || usage
what=$1
shift
program='' agent='' agent_package='' out=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --program) program=$2 ;;
        --agent) agent=$2 ;;
        --agent-package) agent_package=$2 ;;
        --out) out=$2 ;;
        *) usage ;;
    esac
    shift 2
done
if [ -z "$program" ] || [ -z "$out" ]; then usage; fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -n 1)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

file() { install -D -m "$1" "$2" "$tree/$3"; }

# control NAME DEPENDS DESCRIPTION [FIELD: VALUE]
control() {
    mkdir -p "$tree/DEBIAN"
    cat > "$tree/DEBIAN/control" <<TEXT
Package: $1
Version: $version
Section: admin
Priority: optional
Architecture: amd64
Depends: $2
Maintainer: The Lotse project <lotse@localhost>
${4:+$4
}Description: $3
TEXT
}

case $what in
    agent)
        file 755 "$program" usr/bin/lotse-agent
        file 644 "$top/packaging/systemd/lotse-agent.service" lib/systemd/system/lotse-agent.service
        file 644 "$top/packaging/systemd/lotse-agent-metadata.service" lib/systemd/system/lotse-agent-metadata.service
        control lotse-agent 'libc6 (>= 2.28), systemd' 'Lotse agent: carries out plans on a managed machine'
        cat > "$tree/DEBIAN/postinst" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # A new version takes over when the attempt that installed it is over: the agent restarts itself.
    [ -e /etc/lotse-agent/config.toml ] && systemctl enable --quiet lotse-agent.service
fi
exit 0
TEXT
        cat > "$tree/DEBIAN/prerm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet lotse-agent.service lotse-agent-metadata.service || true
fi
TEXT
        # Its key is worth something as long as the server knows the client, and its configuration names a server.
        cat > "$tree/DEBIAN/postrm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /etc/lotse-agent /var/lib/lotse-agent
fi
TEXT
        ;;
    server)
        if [ -z "$agent" ] || [ -z "$agent_package" ]; then usage; fi
        file 755 "$program" usr/bin/lotse
        file 755 "$agent" usr/lib/lotse/lotse-agent
        file 644 "$agent_package" usr/lib/lotse/lotse-agent.deb
        file 644 "$top/packaging/systemd/lotse.service" lib/systemd/system/lotse.service
        file 644 "$top/packaging/sysusers.d/lotse.conf" usr/lib/sysusers.d/lotse.conf
        file 644 "$top/packaging/tmpfiles.d/lotse.conf" usr/lib/tmpfiles.d/lotse.conf
        file 644 "$top/packaging/config/lotse.example.toml" usr/share/doc/lotse/lotse.example.toml
        mkdir -p "$tree/usr/share/lotse"
        cp -r "$top/job-scripts" "$top/pxe" "$top/templates" "$tree/usr/share/lotse/"
        find "$tree/usr/share/lotse" -path '*/expected' -prune -exec rm -r {} +
        for page in README.md docs/operating.md docs/when-a-machine-is-stuck.md docs/layouts.md docs/adding-a-job-type.md \
            docs/adding-a-distribution.md; do
            file 644 "$top/$page" "usr/share/doc/lotse/$(basename "$page")"
        done
        file 644 "$top/packaging/grafana/lotse.json" usr/share/doc/lotse/grafana-dashboard.json
        # The program knows its own commands best.
        "$program" man "$tree/usr/share/man/man1"
        gzip -9n "$tree"/usr/share/man/man1/*.1
        completion() { mkdir -p "$tree/$(dirname "$2")" && "$program" completion "$1" > "$tree/$2"; }
        completion bash usr/share/bash-completion/completions/lotse
        completion zsh usr/share/zsh/vendor-completions/_lotse
        completion fish usr/share/fish/vendor_completions.d/lotse.fish
        # cpio, kmod and xz make the installer's initramfs; GRUB and shim only the boot ISO; dnsmasq is for network boot.
        control lotse 'libc6, systemd, ca-certificates, mmdebstrap, squashfs-tools, cpio, kmod, xz-utils, zstd' \
            'Lotse server: installs and manages machines' \
            'Recommends: restic, novnc, xorriso, mtools, grub-common, grub-pc-bin, shim-signed, grub-efi-amd64-signed
Suggests: dnsmasq'
        cat > "$tree/DEBIAN/postinst" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    systemd-sysusers lotse.conf
    systemd-tmpfiles --create lotse.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet lotse.service
    fi
fi
TEXT
        cat > "$tree/DEBIAN/prerm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet lotse.service || true
fi
TEXT
        ;;
    *) usage ;;
esac
for script in postinst prerm postrm; do
    [ ! -e "$tree/DEBIAN/$script" ] || chmod 755 "$tree/DEBIAN/$script"
done
mkdir -p "$(dirname "$out")"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out" > /dev/null
