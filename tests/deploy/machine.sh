#!/usr/bin/env bash
# A systemd of its own: machine.sh FOLDER boots one in new namespaces, on a copy of the root
# file system that is never written back, with the units in FOLDER/units and no others.
# It runs until it is killed. Exit status 77: this machine does not allow it.
set -euo pipefail

cannot() {
    echo "cannot $1" >&2
    exit 77
}

mounted() {
    mount "$@" || cannot "mount $*"
}

# In namespaces of mounts and networks.
prepare() {
    local groups=$1/groups
    mkdir "$groups"
    mounted -t cgroup2 cgroup2 "$groups"
    group=$groups/psgate-test-$$
    mkdir "$group" || cannot "make a control group"
    trap remove_group EXIT
    echo $$ >"$group/cgroup.procs" || cannot "enter a control group"
    mounted -t tmpfs -o mode=0755 tmpfs "$1/root"
    mkdir "$1"/root/{upper,work,root}
    mounted -t overlay -o "lowerdir=/,upperdir=$1/root/upper,workdir=$1/root/work" overlay \
        "$1/root/root"
}

# Its processes are gone, but the last may still be on its way out.
remove_group() {
    local tries=100
    echo $$ >"$(dirname "$group")/cgroup.procs"
    until find "$group" -depth -type d -exec rmdir {} \; || ((--tries == 0)); do
        sleep 0.1
    done
}

make_devices() {
    local name
    mounted -t tmpfs -o mode=0755 tmpfs dev
    for name in null zero full random urandom tty; do
        touch "dev/$name"
        mounted --bind "/dev/$name" "dev/$name"
    done
    mkdir dev/{pts,mqueue,hugepages,shm}
    mounted -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    mounted -t mqueue mqueue dev/mqueue
    mounted -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
}

# As the first process of its namespace. What is not namespaced is read-only.
boot() {
    local folder=$1
    cd "$folder/root/root"
    mounted -t proc proc proc
    mounted --bind proc/sys proc/sys
    mounted -o remount,bind,ro proc/sys
    mounted -t sysfs -o ro sysfs sys
    mounted -t cgroup2 cgroup2 sys/fs/cgroup
    make_devices
    mounted -t tmpfs -o mode=0755 tmpfs run
    cp -r "$folder/units" units
    mkdir old
    pivot_root . old
    umount -l old
    mounted --make-rshared /
    exec env -i PATH="$PATH" container=psgate-test SYSTEMD_UNIT_PATH=/units \
        /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no
}

case $1 in
--prepared)
    prepare "$2"
    status=0
    unshare --mount --pid --cgroup --uts --ipc --fork "$0" --boot "$2" || status=$?
    exit "$status"
    ;;
--boot) boot "$2" ;;
*)
    ((EUID == 0)) || cannot "boot without being root"
    [[ -x /lib/systemd/systemd ]] || cannot "find systemd (apt-get install systemd)"
    unshare --mount --net true || cannot "make namespaces"
    exec unshare --mount --net --propagation private "$0" --prepared "$1"
    ;;
esac
