#!/bin/bash
# Init of the test VM. Brings the machine up, starts containerd, says "ready", and waits. The harness saves the VM at
# that point; every later run is a copy that wakes up in `read`, gets its job from a disk, runs it, and reports.
#
# Channel: the virtio port "harness". Host to guest, one line each: "binary", a disk holds the agent's binary; "agent
# OPTION...", start it and say "ready" again, for a template in which it runs; "job TIME". Guest to host: the job's output; a record
# that starts with the byte 0x1e and ends with a newline is a message: "ready", or "exit STATUS". Everything else that is
# printed here goes to the console.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb NO_COLOR=1
export LANG=C.UTF-8

mount_all() {
  mount -t securityfs securityfs /sys/kernel/security
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t bpf bpf /sys/fs/bpf
  mount -t tracefs tracefs /sys/kernel/tracing
  mount -t debugfs debugfs /sys/kernel/debug
  mount -t tmpfs -o mode=1777 tmp /tmp
  mount -t tmpfs -o mode=755 run /run
  mkdir -p /dev/pts /dev/shm /dev/mqueue /run/lock
  mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t mqueue mqueue /dev/mqueue
  # overlayfs refuses to write its upper layer on overlayfs, and the root is one.
  mount -t tmpfs -o size=90% containerd /var/lib/containerd
  mount -t tmpfs -o size=90% job /job
  ln -sf /proc/self/fd /dev/fd
  ln -sf fd/0 /dev/stdin
  ln -sf fd/1 /dev/stdout
  ln -sf fd/2 /dev/stderr
}

# The root cgroup must hold no process before its controllers can be given to containers.
delegate_cgroups() {
  mkdir /sys/fs/cgroup/init
  echo $$ >/sys/fs/cgroup/init/cgroup.procs
  local controller
  for controller in $(</sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
  done
}

# 10.0.2.15 is the address that QEMU's user network forwards to.
start_network() {
  ip link set lo up
  ip link set eth0 up
  ip address add 10.0.2.15/24 dev eth0
  ip route add default via 10.0.2.2
}

open_channel() {
  local port
  for port in /sys/class/virtio-ports/*; do
    [ "$(<"$port/name")" = harness ] && exec 3<>"/dev/${port##*/}"
  done
}

start_containerd() {
  containerd >/var/log/containerd.log 2>&1 &
  until ctr version >/dev/null 2>&1; do sleep 0.1; done
  ctr images import /usr/share/vm/busybox.tar
  # The first container pays for reading and translating runc and the shim. Pay once, before the VM is saved.
  ctr run --rm docker.io/library/busybox:latest warm-up /bin/true
}

mount_binary() {
  mkdir -p /run/vm-binary
  mount -t squashfs -o ro /dev/vdd /run/vm-binary
  mount --bind /run/vm-binary/ankylo /usr/local/bin/ankylo
  # What the agent unpacks at its first start has been unpacked on the host, which is 40 times as fast.
  mkdir -p /run/vm-cache/upper /run/vm-cache/work
  mount -t overlay -o lowerdir=/run/vm-binary/cache,upperdir=/run/vm-cache/upper,workdir=/run/vm-cache/work \
    cache /var/cache/ankylo
}

# start_agent [OPTION...]: without a policy. The job finds its pid and its words in /run/agent. An agent that does not get
# ready ends the VM, with its words on the console; on a busy machine a start takes minutes.
start_agent() {
  mkdir -p /run/agent /etc/ankylo/policies
  ankylo run "$@" >>/run/agent/log 2>&1 </dev/null 3>&- &
  echo $! >/run/agent/pid
  await "start the agent" agent_is_ready
}

# await WHAT COMMAND...: repeats it until it succeeds, as long as the agent runs; ends the VM when it never does.
await() {
  local what=$1 end=$((SECONDS + 360))
  shift
  until "$@"; do
    if ! kill -0 "$(</run/agent/pid)" || [ $SECONDS -ge $end ]; then
      echo "$what: not done in time: the agent's last words:"
      tail -n 15 /run/agent/log
      echo o >/proc/sysrq-trigger
      sleep 60
    fi
    sleep 0.2
  done
}

# By the shell alone: a program for each of many questions would take half of what the agent's start takes.
agent_is_ready() (
  exec 5<>/dev/tcp/127.0.0.1/8420 || exit 1
  printf 'GET /readyz HTTP/1.0\r\n\r\n' >&5
  read -r -t 60 _ status _ <&5 && [ "$status" = 200 ]
) 2>/dev/null

# An agent's first container, policy and alert take seconds each, for all that runs for the first time. Pay once, before
# the VM is saved. Neither container nor policy stays; the policy is for processes, so that the alerts are known by that.
warm_up_agent() {
  local api=http://127.0.0.1:8420 policy=/etc/ankylo/policies/warm-up.yaml
  curl -sN $api/v1/alerts >/run/warm-up 2>/dev/null 3>&- &
  local reader=$!
  ctr run -d --label app=warm-up docker.io/library/busybox:latest warm-up /bin/sleep 1000 3>&-
  cat >$policy <<END
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: warm-up
spec:
  selector:
    matchLabels:
      app: warm-up
  process:
    matchPaths:
      - path: /bin/true
  file:
    matchDirectories:
      - dir: /tmp/
        recursive: true
  action: Block
END
  await "warm up: apply a policy" sh -c "curl -s $api/v1/workloads | grep -q '\"generation\":[0-9].*\"warm-up\"'"
  ctr task exec --exec-id acts warm-up /bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do /bin/true; done' 2>/dev/null
  await "warm up: tell of refusals" sh -c "[ \$(grep -c /bin/true /run/warm-up) -ge 8 ]"
  rm $policy
  ctr task kill -s KILL warm-up
  await "warm up: end a container" ctr task rm warm-up
  ctr container rm warm-up
  await "warm up: forget the container" sh -c "! curl -s $api/v1/workloads | grep -q warm-up"
  await "warm up: forget the policy" sh -c "! curl -s $api/v1/policies | grep -q warm-up"
  kill $reader
}

# A script may open /dev/stderr anew, which the port refuses: so its output goes through a pipe. The exit message goes
# through the same pipe, so it comes after all the output even when a process that was left behind holds the pipe.
run_job() {
  mkfifo /run/job-output
  cat /run/job-output >&3 &
  exec 4>/run/job-output
  (
    exec 3>&-
    cd /job || exit 127
    exec bash ./run.sh
  ) <&- </dev/null >&4 2>&4
  printf '\x1eexit %d\n' $? >&4
}

mount_all
delegate_cgroups
hostname vm
start_network
open_channel
start_containerd
printf '\x1eready\n' >&3

while read -r -a words <&3; do
  case ${words[0]} in
    binary) mount_binary ;;
    agent)
      start_agent "${words[@]:1}"
      warm_up_agent
      printf '\x1eready\n' >&3
      ;;
    job) break ;;
  esac
done
# The guest woke at the time when it was saved.
date -s "@${words[1]}" >/dev/null
tar -x -C /job -f /dev/vdc
run_job
# The host ends the VM when it has read the message.
while :; do sleep 1000; done
