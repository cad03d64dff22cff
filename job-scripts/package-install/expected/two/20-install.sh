export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a APT_LISTCHANGES_FRONTEND=none
# What an interrupted run left half configured would make every further run fail.
dpkg --configure -a --force-confdef --force-confold
set -- -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
# What cannot be resolved will not be resolved by trying again; what cannot be fetched may be.
apt-get "$@" --simulate install -- 'hello' 'libstdc++6=12.2.0-14' > /dev/null
apt-get "$@" --download-only install -- 'hello' 'libstdc++6=12.2.0-14' || exit 75
apt-get "$@" install -- 'hello' 'libstdc++6=12.2.0-14'
