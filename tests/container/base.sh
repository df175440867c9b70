#!/bin/sh
# Make a folder that stands in for the image that the Dockerfile begins with, where no registry is
# reached: Debian by debootstrap, from the mirror this machine uses, and the Python of this machine.
set -eu
folder=$1
python=$2

sources="/etc/apt/sources.list /etc/apt/sources.list.d"
# shellcheck disable=SC2086
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' $sources 2>/dev/null | head -n 1 || true)
libraries=libbz2-1.0,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,libuuid1
# shellcheck disable=SC2086 # without a mirror debootstrap knows one
debootstrap --variant=minbase --include=ca-certificates,$libraries bookworm "$folder" $mirror

# As the real one: no bytecode, no symbols, no tests of Python's own, and pip.
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
mkdir -p "$folder/usr/local/lib/python3.13/site-packages"
cp -a "$prefix/bin/python3.13" "$folder/usr/local/bin/"
cp -a "$prefix"/lib/libpython3*.so* "$folder/usr/local/lib/" 2>/dev/null || true
tar -C "$prefix/lib/python3.13" -cf - --exclude=__pycache__ --exclude=./site-packages \
    --exclude=./test --exclude=./idlelib --exclude=./tkinter --exclude='./config-3*' \
    --exclude='_test*.so' --exclude='_tkinter*.so' . |
    tar -C "$folder/usr/local/lib/python3.13" -xf -
find "$folder/usr/local" -name '*.so*' -type f -exec strip --strip-unneeded {} +
ln -s python3.13 "$folder/usr/local/bin/python3"
ln -s python3.13 "$folder/usr/local/bin/python"
chroot "$folder" ldconfig
chroot "$folder" python -m ensurepip --default-pip >/dev/null 2>&1
find "$folder/usr/local" -name __pycache__ -prune -exec rm -rf {} +
rm -rf "$folder"/usr/share/doc "$folder"/usr/share/man "$folder"/usr/share/locale
rm -rf "$folder"/var/cache/apt/*.bin "$folder"/var/cache/apt/archives/*.deb
rm -rf "$folder"/var/lib/apt/lists/*
