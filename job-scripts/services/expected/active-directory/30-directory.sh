update-ca-certificates
DEBIAN_FRONTEND=noninteractive pam-auth-update --package --enable mkhomedir
systemctl enable sssd
systemctl restart sssd
systemctl is-active sssd
