#!/bin/sh
# Install SIPp, which only the tests need (Debian and Ubuntu: package sip-tester).
set -eu
command -v sipp >/dev/null && exit 0
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends sip-tester
