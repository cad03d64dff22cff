#!/bin/sh
# Builds the archive of a Debian base system, which the installer unpacks onto a new disk: the packages that the distribution's
# description names, and nothing that belongs to one machine. Host name, sources, users, locale and so on are written by
# the jobs that follow. Progress goes to stdout as `progress PERCENT TEXT`, everything else to stderr.
set -eu

usage() {
    echo "usage: build.sh --suite SUITE --packages 'NAME NAME ...' --out FILE.tar.zst" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=pxe/lib/mirror.sh
. "$here/../lib/mirror.sh"
# shellcheck source=pxe/lib/bootstrap.sh
. "$here/../lib/bootstrap.sh"

# `scratch` comes from bootstrap_begin.
scratch='' suite='' packages='' out=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --suite) suite=$2 ;;
        --packages) packages=$2 ;;
        --out) out=$2 ;;
        *) usage ;;
    esac
    shift 2
done
if [ -z "$suite" ] || [ -z "$packages" ] || [ -z "$out" ]; then usage; fi

mkdir -p "$(dirname "$out")"
bootstrap_begin
cp "$here/finish.sh" "$scratch/recipe/"
chmod -R a+rX "$scratch/recipe"

# shellcheck disable=SC2086  # a list of words
bootstrap_run "$suite" 0 85 \
    --variant=minbase --include="$(echo $packages | tr ' ' ',')" \
    --customize-hook="sh $scratch/recipe/finish.sh \"\$1\"" \
    --format=tar -- "$suite" "$scratch/base.tar"

echo "progress 88 compressing the archive"
zstd -q -T0 -12 --rm "$scratch/base.tar" -o "$out.new"
chmod 644 "$out.new"
mv "$out.new" "$out"
echo "progress 100 base system is ready"
