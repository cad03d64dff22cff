export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a APT_LISTCHANGES_FRONTEND=none
dpkg --configure -a --force-confdef --force-confold
apt-get -q -y -o DPkg::Lock::Timeout=600 purge -- 'hello'
