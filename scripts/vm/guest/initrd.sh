#!/bin/busybox sh
# First process of the VM: loads the disk drivers, puts a writable layer on the read-only root image, and hands over.
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys

for module in /modules/*; do $B insmod "$module"; done

$B mount -t squashfs -o ro /dev/vda /image
$B mount -t tmpfs -o mode=755 writable /writable
$B mkdir /writable/upper /writable/work
$B mount -t overlay -o lowerdir=/image,upperdir=/writable/upper,workdir=/writable/work root /root

release=$($B uname -r)
$B mkdir -p "/root/lib/modules/$release"
$B mount -t squashfs -o ro /dev/vdb "/root/lib/modules/$release"

for dir in dev proc sys; do $B mount --move /$dir /root/$dir; done
exec $B switch_root /root /sbin/vm-init
