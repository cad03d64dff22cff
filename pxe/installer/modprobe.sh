#!/bin/sh
# The kernel calls this when it needs a module by itself, for example a file system at mount time. It always runs in the
# first stage, so it looks there and in the tool set, which carries modules of its own once the agent has mounted it.
tools=/tools/root
modprobe "$@"
if [ -x $tools/usr/sbin/modprobe ]; then chroot $tools /usr/sbin/modprobe "$@"; fi
