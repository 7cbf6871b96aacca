#!/bin/sh
# Makes sure that the programs which the tests run for real are here: installs them as root, else names the cure.
set -eu

missing=""
need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
need prometheus prometheus
need promtool prometheus
need amtool prometheus-alertmanager
need prometheus-redis-exporter prometheus-redis-exporter
need cc gcc
need cc libc6-dev
need openssl openssl
need /usr/bin/chromium chromium
need /usr/lib/nagios/plugins/check_load monitoring-plugins-basic
PATH="$PATH:/usr/sbin" need logrotate logrotate
need journalctl systemd
need nsenter util-linux
need docker-compose docker-compose
need systemd-sysusers systemd
need /usr/lib/systemd/systemd-journal-remote systemd-journal-remote
need curl curl
need groff groff-base
need pkill procps

[ -z "$missing" ] && exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need these Debian packages: $missing(sudo apt-get install $missing)" >&2
  exit 1
fi
echo "installing $missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends $missing >/dev/null
