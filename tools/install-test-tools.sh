#!/bin/sh
# Install what only the tests need from Debian or Ubuntu: SIPp, and as independent peers the proxy Kamailio and the phone baresip.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
missing=""
command -v sipp >/dev/null || missing="$missing sip-tester"
command -v kamailio >/dev/null || missing="$missing kamailio"
command -v baresip >/dev/null || missing="$missing baresip-core"
[ -n "$missing" ] || exit 0
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The package of Kamailio would start a server at port 5060: no service starts while this file says so (Debian policy, invoke-rc.d).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f "$policy"' EXIT
fi
as_root apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends $missing
case "$missing" in *kamailio*)
    if command -v systemctl >/dev/null; then as_root systemctl disable kamailio >/dev/null 2>&1 || true; fi ;;
esac
