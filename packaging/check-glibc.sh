#!/bin/sh
# Fails when a program needs a newer C library than VERSION.
set -eu
[ $# -eq 2 ] || { echo "usage: check-glibc.sh PROGRAM VERSION" >&2; exit 2; }
needed=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
newest=$(printf '%s\n%s\n' "$needed" "$2" | sort -V | tail -n 1)
if [ "$newest" != "$2" ]; then
    echo "$1 needs glibc $needed, allowed is $2: build it with cargo zigbuild for glibc $2" >&2
    exit 1
fi
