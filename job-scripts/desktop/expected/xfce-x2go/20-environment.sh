export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a APT_LISTCHANGES_FRONTEND=none
# apt waits for another apt or dpkg, dpkg itself does not: so apt looks first. 75 is EX_TEMPFAIL of sysexits.h.
LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=600 check 2>&1 | while read -r line; do
    printf '%s\n' "$line"
    case $line in "E: "*" lock"*) exit 75 ;; esac
done || exit 75
# What an interrupted run left half configured would make every further run fail.
dpkg --configure -a --force-confdef --force-confold
# Refuses what is not signed and takes names for names only: without that, `remove python3.9` where there is none removes everything
# that matches it as a regular expression. Keeps changed configuration files, and shows plain lines instead of a progress bar.
set -- -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o APT::Get::AllowUnauthenticated=false \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    -o APT::Cmd::Pattern-Only=true
# Only what is named: what desktops recommend is twice as much, and most of it for machines with a screen, sound and Bluetooth.
set -- "$@" --no-install-recommends
apt-get "$@" --download-only install -- xauth x11-xserver-utils dbus-x11 xdg-user-dirs xdg-utils xfonts-base fonts-dejavu-core \
    'xfce4' 'xfce4-terminal' || exit 75
apt-get "$@" install -- xauth x11-xserver-utils dbus-x11 xdg-user-dirs xdg-utils xfonts-base fonts-dejavu-core \
    'xfce4' 'xfce4-terminal'
