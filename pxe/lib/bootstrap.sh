# shellcheck shell=sh
# Runs mmdebstrap for an image recipe: sources and fetch options of this machine (lib/mirror.sh), one scratch directory
# that goes away at the end, and progress lines on stdout. Sourced after mirror.sh; sets `scratch`.

# bootstrap_begin: makes the scratch directory; `scratch/recipe` is what the recipe hands in.
bootstrap_begin() {
    command -v mmdebstrap > /dev/null || { echo "mmdebstrap is not installed: run packaging/setup.sh" >&2; exit 1; }
    scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/lotse-image.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT TERM
    # Without root, the hooks run as another user of the machine: they must be able to read the recipe.
    chmod 755 "$scratch"
    mkdir "$scratch/recipe"
}

# bootstrap_run SUITE FROM TO ARGUMENT...: mmdebstrap with these arguments; its own work covers progress FROM to TO percent.
# A hook reports by writing `progress PERCENT TEXT` to its stderr.
bootstrap_run() {
    bootstrap_suite=$1 bootstrap_from=$2 bootstrap_to=$3
    shift 3
    mirror_sources "$bootstrap_suite" > "$scratch/sources.list"
    mirror_aptopts > "$scratch/aptopts"
    echo "progress $bootstrap_from reading package lists of $bootstrap_suite"
    bootstrap_mode=root
    [ "$(id -u)" = 0 ] || bootstrap_mode=unshare
    {
        set +e
        # Not /tmp: where that is memory, a whole system may not fit.
        TMPDIR=${TMPDIR:-/var/tmp} mmdebstrap --mode="$bootstrap_mode" --architectures=amd64 --aptopt="$scratch/aptopts" \
            "$@" < "$scratch/sources.list" 2>&1
        echo "bootstrap-status $?"
    } | awk -v from="$bootstrap_from" -v to="$bootstrap_to" '
        function at(part, text) { printf "progress %d %s\n", from + (to - from) * part, text; fflush() }
        /^progress / { print; fflush(); next }
        /^bootstrap-status / { status = $2; next }
        /^I: downloading packages/ { at(0.1, "fetching the essential packages") }
        /^I: extracting archives/ { at(0.3, "unpacking the essential packages") }
        /^I: installing essential/ { at(0.35, "installing the essential packages") }
        /^I: installing remaining/ { at(0.5, "installing the other packages") }
        /^I: running --customize-hook/ && !customised { customised = 1; at(1, "packages are installed") }
        { print > "/dev/stderr" }
        END { exit status }'
}
