# What is read inside of a Linux guest, in one run of a POSIX shell. It writes nothing, leaves nothing running and asks only
# the kernel: no daemon, no file system on a network. Before it stands `mark=`, which no text of the guest can know, and what
# is wanted beside the usual. Each line that it prints names its source: `path:content`. A loop has an end (`cut:`), however
# many things there are.
collect() {
    export LC_ALL=C PATH="$PATH:/usr/bin:/bin:/usr/sbin:/sbin"
    printf '\n%s begin\n' "$mark"
    date '+date:%s.%N %z %Z'
    echo "machine:$(uname -m)"
    echo "page_size:$(getconf PAGESIZE)"

    grep -sHoE '^(cpu|ctxt|btime|processes|procs_).*|^intr [0-9]+' /proc/stat
    grep -sHE '^(oom_kill|pgpg|pswp|pg.*fault)' /proc/vmstat
    grep -sHE '^(version|cpu)' /proc/schedstat
    # Sockets with something in a queue.
    grep -sHv ' 00000000:00000000 ' /proc/net/udp /proc/net/udp6
    grep -sH '' /proc/loadavg /proc/meminfo /proc/diskstats /proc/mdstat /proc/uptime \
        /proc/net/dev /proc/net/netstat /proc/net/snmp /proc/net/snmp6 /proc/net/sockstat /proc/net/sockstat6 \
        /proc/net/softnet_stat /proc/net/arp /proc/net/stat/nf_conntrack \
        /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max \
        /proc/sys/fs/file-nr /proc/sys/kernel/random/entropy_avail /proc/sys/kernel/random/poolsize \
        /proc/sys/kernel/ostype /proc/sys/kernel/osrelease /proc/sys/kernel/version \
        /proc/sys/kernel/hostname /proc/sys/kernel/domainname \
        /proc/pressure/cpu /proc/pressure/io /proc/pressure/memory \
        /sys/devices/system/cpu/isolated /sys/devices/system/clocksource/clocksource*/*_clocksource \
        /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp \
        /sys/class/thermal/cooling_device*/type /sys/class/thermal/cooling_device*/*_state \
        /sys/fs/selinux/enforce
    grep -sH '' /etc/os-release || grep -sH '' /usr/lib/os-release
    grep -sH '^SELINUX=' /etc/selinux/config
    grep -sH '' /sys/class/dmi/id/bios_* /sys/class/dmi/id/board_* /sys/class/dmi/id/chassis_* \
        /sys/class/dmi/id/product_* /sys/class/dmi/id/sys_vendor
    grep -sHE '^E:(DM_|ID_ATA|ID_FS_|ID_MODEL=|ID_PATH=|ID_REVISION=|ID_SERIAL_SHORT=|ID_WWN=)' /run/udev/data/b*

    set --
    for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
        [ $# -lt 2048 ] || { echo "cut:processors"; break; }
        set -- "$@" "$cpu/topology/physical_package_id" "$cpu/topology/core_id" \
            "$cpu/thermal_throttle/core_throttle_count" "$cpu/thermal_throttle/package_throttle_count" \
            "$cpu/cpufreq/cpuinfo_cur_freq" "$cpu/cpufreq/cpuinfo_min_freq" "$cpu/cpufreq/cpuinfo_max_freq" \
            "$cpu/cpufreq/scaling_cur_freq" "$cpu/cpufreq/scaling_min_freq" "$cpu/cpufreq/scaling_max_freq"
    done
    grep -sH '' "$@" /dev/null

    set --
    for dev in /sys/class/net/*; do
        [ $# -lt 6000 ] || { echo "cut:interfaces"; break; }
        set -- "$@" "$dev/addr_assign_type" "$dev/address" "$dev/broadcast" "$dev/carrier" "$dev/carrier_changes" \
            "$dev/carrier_down_count" "$dev/carrier_up_count" "$dev/dev_id" "$dev/dormant" "$dev/duplex" "$dev/flags" \
            "$dev/ifalias" "$dev/ifindex" "$dev/iflink" "$dev/link_mode" "$dev/mtu" "$dev/name_assign_type" \
            "$dev/netdev_group" "$dev/operstate" "$dev/speed" "$dev/statistics/rx_nohandler" "$dev/tx_queue_len" "$dev/type"
    done
    grep -sH '' "$@" /dev/null

    # A file system on a network may never answer, and a process that waits for it cannot always be killed.
    # Of the first process, if that may be read: it sees what the machine has.
    table=/proc/1/mounts mounts=0
    (: <$table) || table=/proc/self/mounts
    set --
    while read -r device point type options rest; do
        case $type in
            autofs | binfmt_misc | bpf | cgroup | cgroup2 | configfs | debugfs | devpts | devtmpfs | fusectl | hugetlbfs) continue ;;
            iso9660 | mqueue | nsfs | overlay | proc | procfs | pstore | rpc_pipefs | securityfs | selinuxfs | squashfs) continue ;;
            sysfs | tracefs) continue ;;
        esac
        case $point in
            /dev | /dev/* | /proc | /proc/* | /sys | /sys/* | /run/credentials/* | /var/lib/docker/* | /var/lib/containers/storage/*) continue ;;
        esac
        mounts=$((mounts + 1))
        [ $mounts -le 256 ] || { echo "cut:mounts"; break; }
        path=$point
        case $path in *\\*) path=$(printf '%b' "$path") ;; esac
        case $type in
            nfs | nfs4 | cifs | smb3 | smbfs | ncpfs | 9p | afs | ceph | glusterfs | lustre | beegfs | gpfs | gfs2 | ocfs2 | fuse | fuse.*)
                [ "$network_file_systems" ] || continue
                printf 'mount:%s %s %s %s\n' "$device" "$point" "$type" "$options"
                timeout -s KILL 5 stat -f -c "statfs:%s %b %f %a %c %d %n" "$path"
                ;;
            *)
                printf 'mount:%s %s %s %s\n' "$device" "$point" "$type" "$options"
                set -- "$@" "$path"
                ;;
        esac
    done <$table
    [ $# -eq 0 ] || stat -f -c 'statfs:%s %b %f %a %c %d %n' "$@"

    if command -v chronyc >/dev/null; then
        echo "chrony:$(timeout -s KILL 3 chronyc -n -c tracking)"
    elif command -v ntpq >/dev/null; then
        echo "ntp:$(timeout -s KILL 3 ntpq -n -c 'rv 0 leap,stratum,offset,frequency,rootdisp,rootdelay,sys_jitter' | tr '\n' ' ')"
    elif command -v adjtimex >/dev/null; then
        { adjtimex --print || adjtimex; } | sed 's/^/adjtimex:/'
    fi

    if [ "$processes" ]; then
        set -- /proc/[0-9]*/stat
        if [ $# -gt 4096 ]; then
            echo "cut:processes"
        else
            grep -sH '' "$@"
        fi
    fi
    if [ "$units" ] && command -v systemctl >/dev/null; then
        timeout -s KILL 5 systemctl show --no-pager -p Id -p ActiveState -p Type \
            '*.service' '*.socket' '*.target' '*.timer' '*.path' '*.swap' | head -n 8000 | sed 's/^/unit:/'
        echo "running:$(timeout -s KILL 5 systemctl is-system-running)"
    fi
    printf '%s end\n' "$mark"
}
collect </dev/null 2>/dev/null
