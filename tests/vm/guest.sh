# Process 1 of the guest: what a Raspberry Pi has running when its Bluetooth works, then the command, then power off.
exec </dev/null >/run/vm/guest.log 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
stty -F "$VM_OUTPUT" raw -echo
hostname guest 2>/dev/null || /bin/busybox hostname guest
/bin/busybox ip link set lo up
mkdir -p /run/dbus /run/lock /run/tmp /run/home /var/lib/bluetooth
# The host's own pairings are none of the guest's business.
/bin/busybox mount -t tmpfs tmpfs /var/lib/bluetooth
dbus-uuidgen --ensure
dbus-daemon --system --fork --nopidfile
# Usually without options, as a Pi starts it.  -n only sends its log here.
/usr/libexec/bluetooth/bluetoothd -n $(cat /run/vm/bluetoothd.options) 2>/run/vm/bluetoothd.log &
echo $! >/run/bluetoothd.pid
/bin/sh /run/vm/command.sh >"$VM_OUTPUT" 2>&1 &
wait $!
echo $? >/run/vm/status
sync
/bin/busybox sleep 0.2
/bin/busybox poweroff -f
# Process 1 must not end before the power does.
while :; do :; done
