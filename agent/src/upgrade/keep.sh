#!/bin/sh
# Keeps the agent that is there: its package, made again from what dpkg has on record, and a copy of the running program.
# $1: directory, $2: process of the agent
directory=$1
tree=$directory/old
case $(dpkg-query --show --showformat '${db:Status-Abbrev}' lotse-agent 2> /dev/null || true) in
    ?i*) ;;
    *)
        echo "dpkg does not know the package lotse-agent as installed: install the agent's package by hand once" >&2
        exit 1
        ;;
esac
mkdir -p "$tree/DEBIAN"
dpkg-query --status lotse-agent \
    | awk '/^(Status|Conffiles|Config-Version):/ { skip = 1; next } /^[^ ]/ { skip = 0 } !skip' > "$tree/DEBIAN/control"
for part in $(dpkg-query --control-list lotse-agent); do
    cp -p "$(dpkg-query --control-path lotse-agent "$part")" "$tree/DEBIAN/$part"
done
dpkg-query --listfiles lotse-agent | while IFS= read -r file; do
    # A directory may be a link here: /lib is one to usr/lib where the package has a directory.
    if [ -d "$file" ]; then continue; fi
    if [ -f "$file" ] || [ -L "$file" ]; then
        mkdir -p "$tree$(dirname "$file")"
        cp -a "$file" "$tree$file"
    fi
done
chmod -R go-w "$tree"
chmod 755 "$tree" "$tree/DEBIAN"
dpkg-deb --root-owner-group -Znone --build "$tree" "$directory/old.deb.part" > /dev/null
rm -r "$tree"
cp "/proc/$2/exe" "$directory/supervisor.part"
chmod 700 "$directory/supervisor.part"
sync "$directory/old.deb.part" "$directory/supervisor.part"
mv "$directory/old.deb.part" "$directory/old.deb"
mv "$directory/supervisor.part" "$directory/supervisor"
sync "$directory"
