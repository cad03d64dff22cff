unpin() {
    file=/etc/apt/preferences.d/lotse-$(printf '%s' "$1" | sed 's/+/_plus_/g').pref
    case $1 in
        *[!a-z0-9+.-]*) ;;
        *) if [ -f "$file" ]; then
            rm "$file"
            echo "$1 is pinned by Lotse no more"
            return
        fi ;;
    esac
    echo "Lotse has not pinned $1 here" >&2
    exit 1
}

unpin 'hello'

unpin 'libstdc++6'

