#!/bin/sh
# Installs what `make bench` and `make peers` compare with and talk to: Debian's packages (as root) and Haraka from npm.
# Nothing runs this by itself.
set -eu
cd "$(dirname "$0")/../.."
to=${OMBUD_PEERS:-var/peers}

echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
node=
command -v npm >/dev/null || node="nodejs npm"  # a Node.js from elsewhere and Debian's do not go together
# shellcheck disable=SC2086 # two words, or none
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
  postfix opendkim gcc libc6-dev libssl-dev openssl swaks msmtp curl $node

mkdir -p "$to/haraka"
cd "$to/haraka"
[ -e package.json ] || npm init -y >/dev/null
npm install --no-audit --no-fund Haraka haraka-plugin-dkim
