# shellcheck shell=sh
# shellcheck disable=SC2016  # apt formats are not shell variables
# Says where Debian packages come from: the mirror that this machine's own apt uses, or
# LOTSE_MIRROR / LOTSE_SECURITY_MIRROR. Sourced by the image recipes and by packaging/setup.sh.
# It reads the configuration through apt itself, so every source format is understood; it writes nothing.

# mirror_uri: prints the URI of the Debian archive, without a trailing slash.
mirror_uri() {
    if [ -n "${LOTSE_MIRROR:-}" ]; then
        printf '%s\n' "${LOTSE_MIRROR%/}"
        return 0
    fi
    mirror_found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null \
        | awk '$1 ~ /\/debian\/?$/ && $2 !~ /-/ { sub(/\/$/, "", $1); print $1; exit }')
    if [ -z "$mirror_found" ]; then
        echo "no Debian archive in this machine's apt configuration: set LOTSE_MIRROR to the URI of one" >&2
        return 1
    fi
    printf '%s\n' "$mirror_found"
}

# mirror_security_uri: prints the URI of the security archive, or nothing if this machine uses none.
mirror_security_uri() {
    if [ -n "${LOTSE_SECURITY_MIRROR:-}" ]; then
        printf '%s\n' "${LOTSE_SECURITY_MIRROR%/}"
        return 0
    fi
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null \
        | awk '$2 ~ /-security$/ { sub(/\/$/, "", $1); print $1; exit }'
}

# mirror_sources SUITE: prints one-line sources of the suite, its updates and its security fixes.
mirror_sources() {
    mirror_main=$(mirror_uri) || return 1
    mirror_sec=$(mirror_security_uri)
    mirror_signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    printf 'deb %s %s %s main\n' "$mirror_signed" "$mirror_main" "$1"
    printf 'deb %s %s %s-updates main\n' "$mirror_signed" "$mirror_main" "$1"
    if [ -n "$mirror_sec" ]; then
        printf 'deb %s %s %s-security main\n' "$mirror_signed" "$mirror_sec" "$1"
    fi
}

# mirror_aptopts: prints the fetch options of this machine's apt (proxy, snapshot dates), one a line.
mirror_aptopts() {
    apt-config dump --format '%f "%v";%n' \
        | grep -E '^Acquire::(https?::(Proxy|Timeout)|Retries|Check-Valid-Until|Check-Date)' || true
}
