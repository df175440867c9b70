#!/bin/sh
# See to it that the browser tests have a Chromium: an installed one, Playwright's, or Debian's.
set -u

for name in chromium chromium-browser; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
path=$(.venv/bin/python -c 'from playwright.sync_api import sync_playwright as s
with s() as p: print(p.chromium.executable_path)' 2>/dev/null)
[ -n "$path" ] && [ -x "$path" ] && exit 0

mkdir -p instance
log=instance/browser.log
echo "Installing Chromium for the browser tests ..."
.venv/bin/playwright install chromium >"$log" 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; } >>"$log" 2>&1 && exit 0
fi
echo "NO CHROMIUM COULD BE INSTALLED ($log says why). The browser tests will not run." >&2
[ -z "${CI:-}" ]
