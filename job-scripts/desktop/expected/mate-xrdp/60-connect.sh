
# wait_for PORT: until something listens there, at most a minute.
wait_for() {
    tries=0
    until [ -n "$(ss -Hltn "sport = :$1")" ]; do
        tries=$((tries + 1))
        [ $tries -le 60 ] || { echo "Nothing listens on port $1 after a minute." >&2; return 1; }
        sleep 1
    done
}


session='/usr/bin/mate-session'
test -x "$session"
if command -v dconf > /dev/null; then dconf update; fi

name='lab-07'
addresses=$(hostname -I)

# Debian's key for RDP is that of the group ssl-cert.
systemctl enable xrdp xrdp-sesman
case " $(id -Gn xrdp) " in
    *" ssl-cert "*) ;;
    *) usermod --append --groups ssl-cert xrdp; systemctl stop xrdp xrdp-sesman ;;
esac
systemctl start xrdp-sesman xrdp
wait_for 3389
systemctl is-active xrdp xrdp-sesman
echo "Connect with any client for RDP: host $name ($addresses), port 3389, session Xorg."

