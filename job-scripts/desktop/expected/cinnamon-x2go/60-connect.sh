
# wait_for PORT: until something listens there, at most a minute.
wait_for() {
    tries=0
    until [ -n "$(ss -Hltn "sport = :$1")" ]; do
        tries=$((tries + 1))
        [ $tries -le 60 ] || { echo "Nothing listens on port $1 after a minute." >&2; return 1; }
        sleep 1
    done
}


session='/usr/bin/cinnamon-session-cinnamon2d'
test -x "$session"
if command -v dconf > /dev/null; then dconf update; fi

name='lab-07'
addresses=$(hostname -I)

systemctl enable ssh x2goserver
systemctl start ssh x2goserver
wait_for 22
systemctl is-active ssh x2goserver

echo "Connect with the X2Go client: host $name ($addresses), SSH port 22, session type: custom desktop, command $session."


