#!/bin/bash
# Puts the program and its service on a system without the Debian package, and takes them away again:
#     systemd/install.sh install|uninstall
# Environment: PYTHON makes the virtual environment (default: python3); VENV is where it goes (default: /opt/nuki-bridge);
# PREFIX/bin gets a link to the command (default: /usr/local).  With DESTDIR everything is put below that directory, and
# neither users nor services are touched.
# What exists of the configuration and the state is never changed.
set -eu
umask 022
cd "$(dirname "$0")/.."

venv=${VENV:-/opt/nuki-bridge}
command=${PREFIX:-/usr/local}/bin/nuki-bridge
units=/etc/systemd/system
unit=$units/nuki-bridge.service
web_unit=$units/nuki-bridge-web.service
drop_in=/etc/systemd/system/bluetooth.service.d/nuki-bridge.conf
policy=/etc/dbus-1/system.d/nuki-bridge.conf
config=/etc/nuki-bridge/config.yaml
bash_completion=${PREFIX:-/usr/local}/share/bash-completion/completions/nuki-bridge
zsh_completion=${PREFIX:-/usr/local}/share/zsh/site-functions/_nuki-bridge
root=${DESTDIR:-}

fail() {
    echo "nuki-bridge: $1" >&2
    exit 1
}

check() {
    for path in "$venv" "$command" "$root/"; do
        [[ $path =~ ^/[A-Za-z0-9/._+-]*$ ]] || fail "VENV, PREFIX and DESTDIR must be absolute paths of letters, digits and ._+-"
    done
    [ ! -e "$root$venv" ] || [ -e "$root$venv/pyvenv.cfg" ] || fail "$root$venv is there and is not a virtual environment"
    [ -z "$root" ] || return 0
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo make $1"
    ! dpkg-query -W -f '${db:Status-Status}' nuki-bridge 2>/dev/null | grep -qx installed \
        || fail "the Debian package is installed here; \`sudo apt remove nuki-bridge\` first"
}

# Is there a systemd to be told of the service?
systemd_runs() {
    [ -z "$root" ] && [ -d /run/systemd/system ]
}

# The D-Bus daemon looks a policy's user up when it reads the policy.
reload_dbus() {
    [ -n "$root" ] || [ ! -S /run/dbus/system_bus_socket ] \
        || busctl call --quiet org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig \
        || echo "nuki-bridge: D-Bus could not read its configuration again; restart this computer" >&2
}

install_program() {
    local pip wheel python=${PYTHON:-python3}
    case $(readlink -f "$(command -v "$python")") in
    /home/* | /root/*) fail "$python is in somebody's home, where the service cannot see it; PYTHON=... names another" ;;
    esac
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    "$root$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$root$venv"
    pip=("$root$venv/bin/python" -m pip --quiet --disable-pip-version-check)
    # pip builds among the sources, hence from a copy of them.
    tar --create --exclude=__pycache__ --exclude='*.egg-info' LICENSE README.md nuki_bridge pyproject.toml setup.cfg \
        | tar --extract --no-same-owner --directory="$copy"
    "${pip[@]}" wheel --no-deps --wheel-dir="$copy/wheel" "$copy"
    wheel=$(echo "$copy"/wheel/*.whl)
    "${pip[@]}" install --no-compile --use-pep517 --upgrade "$wheel[systemd]"
    # A version that is there counts as installed, although its files may be others.
    "${pip[@]}" install --no-compile --no-deps --force-reinstall "$wheel"
    if [ -n "$root" ]; then
        grep -rlIF "$root$venv" "$root$venv/bin" "$root$venv/pyvenv.cfg" | xargs -r sed -i "s,$root$venv,$venv,g"
    fi
    "$root$venv/bin/python" -m compileall -q ${root:+-f} -s "$root" -p / "$root$venv/lib" >/dev/null || true
    mkdir -p "$root${command%/*}"
    ln -sfn "$venv/bin/nuki-bridge" "$root$command"
    install -D -m 644 completions/nuki-bridge.bash "$root$bash_completion"
    install -D -m 644 completions/_nuki-bridge "$root$zsh_completion"
}

install_service() {
    install -D -m 644 systemd/dbus-1/nuki-bridge.conf "$root$policy"
    install -D -m 644 systemd/bluetooth.service.d/nuki-bridge.conf "$root$drop_in"
    install -d "$root${unit%/*}" "$root${config%/*}"
    for each in "$unit" "$web_unit"; do
        sed "s,/usr/bin/nuki-bridge,$venv/bin/nuki-bridge," "systemd/${each##*/}" >"$root$each"
        chmod 644 "$root$each"
    done
    [ -n "$root" ] || systemd-sysusers "$PWD/systemd/sysusers.d/nuki-bridge.conf"
    if [ ! -e "$root$config" ] && [ ! -L "$root$config" ]; then
        install -m 640 etc/config.yaml "$root$config"
        [ -n "$root" ] || chgrp nuki-bridge "$config"
    fi
    reload_dbus
    if systemd_runs; then
        systemctl daemon-reload
        systemctl enable --quiet nuki-bridge nuki-bridge-web
        systemctl restart nuki-bridge nuki-bridge-web
    fi
}

uninstall() {
    if systemd_runs && [ -e "$unit" ]; then
        systemctl disable --quiet --now nuki-bridge nuki-bridge-web
    fi
    [ "$(readlink "$root$command")" != "$venv/bin/nuki-bridge" ] || rm "$root$command"
    rm -rf "$root${venv:?}"
    rm -f "$root$unit" "$root$web_unit" "$root$policy" "$root$drop_in" "$root$bash_completion" "$root$zsh_completion"
    rmdir --ignore-fail-on-non-empty "$root${drop_in%/*}" 2>/dev/null || true
    reload_dbus
    ! systemd_runs || systemctl daemon-reload
    echo "nuki-bridge is gone. What is left: /etc/nuki-bridge (configuration), /var/lib/nuki-bridge (paired locks and"
    echo "their keys), /var/lib/nuki-bridge-web (the page's certificates) and the users nuki-bridge and nuki-bridge-web."
    echo "What the broker keeps stays, too: \`sudo nuki-bridge retire\` clears it, before this and with the service stopped."
}

check "${1:-}"
case ${1:-} in
install)
    install_program
    install_service
    echo "nuki-bridge is installed: $command, $config, nuki-bridge.service;"
    echo "members of the group nuki-bridge use the command line without sudo: \`sudo adduser YOU nuki-bridge\`;"
    echo "\`sudo $command web setup\` sets the phone page up"
    ;;
uninstall)
    uninstall
    ;;
*)
    echo "usage: systemd/install.sh install|uninstall" >&2
    exit 2
    ;;
esac
