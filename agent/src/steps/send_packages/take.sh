# Puts the packages of this system that somebody names into a directory: the file that apt has kept, else the one that apt fetches again and
# verifies, else one made again of what dpkg has on record.
# $1: the directory; then names of packages
directory=$1
shift

# $1: package as dpkg names it, $2: the file to make
repack() {
    tree=$directory/tree
    mkdir -p "$tree/DEBIAN"
    dpkg-query --status "$1" \
        | awk '/^(Status|Conffiles|Config-Version):/ { skip = 1; next } /^[^ ]/ { skip = 0 } !skip' > "$tree/DEBIAN/control"
    for part in $(dpkg-query --control-list "$1"); do
        cp -p "$(dpkg-query --control-path "$1" "$part")" "$tree/DEBIAN/$part"
    done
    files=$(dpkg-query --listfiles "$1")
    printf '%s\n' "$files" | while IFS= read -r file; do
        # A directory of the package may be a link here: /lib is one to usr/lib.
        if printf '%s\n' "$files" | awk -v below="${file%/.}/" 'index($0, below) == 1 && $0 != below { found = 1 } END { exit !found }'; then
            mkdir -p "$tree$file"
            chmod --reference="$file" "$tree$file"
        elif [ -L "$file" ] || [ -f "$file" ]; then
            mkdir -p "$tree$(dirname "$file")"
            cp -a "$file" "$tree$file"
        elif [ -d "$file" ]; then
            mkdir -p "$tree$file"
            chmod --reference="$file" "$tree$file"
        else
            echo "$1: $file is gone, and is not in the package that is made again" >&2
        fi
    done
    chmod 755 "$tree" "$tree/DEBIAN"
    # What is made here and now counts as old as the installation, so that the same again is the same.
    installed=$(stat --format=%Y "/var/lib/dpkg/info/$1.list")
    SOURCE_DATE_EPOCH=$installed dpkg-deb -Zgzip --build "$tree" "$2" > /dev/null
    rm -r "$tree"
}

for name in "$@"; do
    shown=$(dpkg-query --show --showformat '${db:Status-Abbrev}\t${binary:Package}\t${Version}\t${Architecture}\n' "$name" 2> /dev/null || true)
    known=$(printf '%s\n' "$shown" | awk -F '\t' '$1 ~ /^.i/ { print $2 " " $3 " " $4; exit }')
    if [ -z "$known" ]; then
        echo "the package $name is not installed here" >&2
        exit 1
    fi
    package=${known%% *}
    rest=${known#* }
    version=${rest%% *}
    architecture=${rest#* }
    # apt writes the colon of an epoch so.
    file=${package%%:*}_$(printf '%s' "$version" | sed 's/:/%3a/g')_$architecture.deb
    kept=/var/cache/apt/archives/$file
    if [ -f "$kept" ] && [ "$(dpkg-deb --show --showformat '${Package} ${Version} ${Architecture}' "$kept")" = "${package%%:*} $version $architecture" ]; then
        echo "$name $version: apt has kept it"
        cp "$kept" "$directory/$file"
    elif (cd "$directory" && apt-get --quiet=2 --option APT::Sandbox::User=root download "$package=$version") > /dev/null 2>&1 \
        && [ -f "$directory/$file" ]; then
        echo "$name $version: apt has fetched it again"
    else
        echo "$name $version: no source has it any more, so it is made again of what is installed here, with its configuration as it is"
        repack "$package" "$directory/$file"
    fi
done
