export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a APT_LISTCHANGES_FRONTEND=none
dpkg --configure -a --force-confdef --force-confold
set -- -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
apt-get "$@" --download-only upgrade || exit 75
apt-get "$@" upgrade
