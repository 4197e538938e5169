#!/bin/busybox sh
# Process 1 of a kernel in user mode: changes over to the files of the host, under an overlay that keeps every change in
# memory.  What init.sh does for a machine of QEMU.
bb=/bin/busybox
$bb mount -t tmpfs tmpfs /mnt
$bb mkdir -p /mnt/upper /mnt/work /mnt/root
root=/mnt/root
$bb mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay $root
for folder in proc sys dev run; do $bb mkdir -p $root/$folder; done
$bb mount -t proc proc $root/proc
$bb mount -t sysfs sysfs $root/sys
$bb mount -t devtmpfs devtmpfs $root/dev
$bb mount -t tmpfs -o mode=755 tmpfs $root/run
$bb mkdir -p $root/dev/pts $root/dev/shm $root/run/vm
$bb mount -t devpts devpts $root/dev/pts
$bb mount -t tmpfs tmpfs $root/dev/shm
$bb mount -t hostfs none -o "$VM_RESULTS" $root/run/vm
exec $bb chroot $root /bin/sh /run/vm/guest.sh
