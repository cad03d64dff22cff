# A mirror that does not answer is no reason to give up for good: 75 is EX_TEMPFAIL of sysexits.h.
apt-get -q -o DPkg::Lock::Timeout=600 -o APT::Update::Error-Mode=any update || exit 75
