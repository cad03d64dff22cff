# Accounts without a password can only log in by key until one is set.

if ! id 'ann' >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash --comment 'Ann O. Hara; reboot' 'ann'
fi

usermod --append --groups sudo 'ann'


home=$(getent passwd 'ann' | cut -d: -f6)
install -d -m 0700 -o 'ann' -g 'ann' "$home/.ssh"
printf '%s\n' 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5 ann' > "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
chown 'ann':'ann' "$home/.ssh/authorized_keys"


if ! id 'ben' >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash --comment '' 'ben'
fi



