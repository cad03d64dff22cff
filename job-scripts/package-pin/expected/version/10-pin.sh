pin='version 2.10*'
priority=1001
if ! command -v apt-cache > /dev/null; then
    echo "only apt knows pins: hold the packages on this system" >&2
    exit 1
fi
pin() {
    case $1 in
        *[!a-z0-9+.-]*)
            echo "$1 is no package's name alone: versions stand in the pin" >&2
            exit 1
            ;;
    esac
    # apt passes over files with other signs in their names.
    file=/etc/apt/preferences.d/lotse-$(printf '%s' "$1" | sed 's/+/_plus_/g').pref
    printf '# Written by Lotse.\nPackage: %s\nPin: %s\nPin-Priority: %s\n' "$1" "$pin" "$priority" > "$file.new"
    chmod 644 "$file.new"
    mv "$file.new" "$file"
    LC_ALL=C apt-cache policy "$1"
}
mkdir -p /etc/apt/preferences.d

pin 'hello'

pin 'libstdc++6'

