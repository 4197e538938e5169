#!/bin/busybox sh
# Process 1 of the initramfs: loads the modules and changes over to the files of the machine.  They are this machine's,
# under an overlay that keeps every change in memory; or, with `vm.disk` on the kernel's command line, a system on a
# disk, whose own process 1 takes over.
bb=/bin/busybox
$bb mkdir -p /proc /dev /host /layer /root
$bb mount -t proc proc /proc
$bb mount -t devtmpfs devtmpfs /dev
for module in $($bb cat /modules/order); do
    $bb insmod "/modules/$module.ko" || echo "vm: module $module does not load"
done
options=trans=virtio,version=9p2000.L,msize=512000
disk=
$bb grep -qw vm.disk /proc/cmdline && disk=yes
if [ $disk ]; then
    $bb mount -t ext4 -o noatime /dev/vda /root
else
    $bb mount -t 9p -o $options,cache=loose,ro rootfs /host
    $bb mount -t tmpfs tmpfs /layer
    $bb mkdir -p /layer/upper /layer/work
    $bb mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root
fi
for folder in proc sys dev run; do $bb mkdir -p /root/$folder; done
$bb mount -t proc proc /root/proc
$bb mount -t sysfs sysfs /root/sys
$bb mount -t devtmpfs devtmpfs /root/dev
$bb mount -t tmpfs -o mode=755 tmpfs /root/run
$bb mkdir -p /root/dev/pts /root/dev/shm /root/run/vm
$bb mount -t devpts devpts /root/dev/pts
$bb mount -t tmpfs tmpfs /root/dev/shm
# Not cached: what the host reads there while the guest runs must be current.
$bb mount -t 9p -o $options,cache=none results /root/run/vm
if [ $disk ]; then
    $bb mkdir -p /root/run/project /root/run/systemd/system
    $bb mount -t 9p -o $options,cache=loose,ro project /root/run/project
    $bb cp -a /root/run/vm/units/. /root/run/systemd/system/
    exec $bb switch_root /root /sbin/init
fi
exec $bb switch_root /root /bin/sh /run/vm/guest.sh
