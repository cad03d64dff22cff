place=/var/lib/lotse-sources
parts=/etc/apt/sources.list.d
replace=true
for file in /etc/apt/sources.list "$parts"/*; do
    [ -f "$file" ] || continue
    case $file in
        "$parts"/lotse-*.sources) ;;
        /etc/apt/sources.list)
            # What Lotse has written there would be in two files.
            if [ "$replace" != true ] && ! grep -q '^# Written by Lotse' "$file"; then continue; fi ;;
        *.list | *.sources) [ "$replace" = true ] || continue ;;
        *) continue ;;
    esac
    cp -p "$file" "$place/old/"
done
# From here on an interruption is put right by the first step of the next attempt.
touch "$place/using"
sync "$place/using" "$place/old"
for file in "$place"/old/*; do
    [ -f "$file" ] || continue
    case $file in
        */sources.list) rm -f /etc/apt/sources.list ;;
        *) rm -f "$parts/${file##*/}" ;;
    esac
done
for file in "$place"/new/*; do
    [ -f "$file" ] || continue
    cp "$file" "$parts/"
    echo "uses ${file##*/}"
done
if LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any update > "$place/said" 2>&1; then
    cat "$place/said"
    # Lists of others are kept; our own are not needed any more.
    rm -f "$place"/old/lotse-*.sources
    if [ -n "$(ls "$place/old")" ]; then
        mkdir -p "$place/replaced"
        cp -p "$place"/old/* "$place/replaced/"
    fi
    rm -rf "$place/using" "$place/old" "$place/new" "$place/said"
    exit 0
fi
cat "$place/said"
rm -f "$parts"/lotse-*.sources
for file in "$place"/old/*; do
    [ -f "$file" ] || continue
    case $file in
        */sources.list) cp -p "$file" /etc/apt/sources.list ;;
        *) cp -p "$file" "$parts/" ;;
    esac
done
rm -rf "$place/using"
# What trying again later cannot mend; everything else may be a mirror that is away. 75 is EX_TEMPFAIL of sysexits.h.
if grep -E 'NO_PUBKEY|is not signed|not have a Release file|Malformed|404 ' "$place/said" >&2; then
    echo 'E: apt refuses the new source lists; those before are in use again' >&2
    exit 1
fi
grep '^[EW]:' "$place/said" >&2 || true
echo 'E: the new source lists cannot be used now; those before are in use again' >&2
exit 75
