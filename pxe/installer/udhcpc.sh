#!/bin/sh
# udhcpc(8) calls this with what the DHCP server said; it sets address, routes and name servers of $interface.
# It touches IPv4 only: IPv6 comes from router advertisements, through the kernel.
# shellcheck disable=SC2086,SC2154  # udhcpc sets the lower-case variables; its lists are words
case $1 in
    deconfig)
        ip -4 addr flush dev "$interface"
        ;;
    bound | renew)
        ip -4 addr replace "$ip/${mask:-24}" dev "$interface"
        # RFC 3442: with classless routes, the router option must be ignored.
        if [ -n "${staticroutes:-}" ]; then
            set -- $staticroutes
            while [ $# -ge 2 ]; do
                if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"
                else ip route replace "$1" via "$2" dev "$interface" onlink; fi
                shift 2
            done
        else
            for gateway in ${router:-}; do
                ip route replace default via "$gateway" dev "$interface" onlink
                break
            done
        fi
        : > /run/lotse/resolv.conf.new
        [ -z "${domain:-}" ] || echo "search $domain" >> /run/lotse/resolv.conf.new
        for server in ${dns:-}; do echo "nameserver $server" >> /run/lotse/resolv.conf.new; done
        mv /run/lotse/resolv.conf.new /etc/resolv.conf
        echo "$ip" > "/run/lotse/address.$interface"
        # For the agent's search for user-data, in the words of systemd-networkd's leases.
        {
            echo "SERVER_ADDRESS=${serverid:-}"
            [ -z "${opt224:-}" ] || echo "OPTION_224=$opt224"
        } > "/run/lotse/lease.$interface"
        ;;
esac
