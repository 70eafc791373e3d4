# Runs a scenario inside the VM: functions for the generated script `plan.sh`, which names containers and acts.
# What happened is reported line by line on standard output, each line beginning with "@":
#   @act ID STATUS OUTPUT      OUTPUT on one line, with \n and \\ for what they mean; STATUS is "lost" when the act never ended
#   @at TEXT busy B idle I agent A
#                              how far the scenario is, for those who measure; hundredths of seconds of all CPUs, and the agent's
#   @window ID FROM TO         numbers of the alerts that had arrived before the act, and when its wait ended
#   @alert JSON                at the end, every alert in order of arrival
#   @log BASE64                at the end, what the agent wrote
#   @fatal TEXT                the scenario could not be run
set -u
image=docker.io/library/busybox:latest
work=/run/e2e
alerts=$work/alerts
agent_pid=/run/agent/pid
agent_log=/run/agent/log
agent_url=http://127.0.0.1:8420
# Emulation on a busy machine is slow; an act or an alert that takes longer than this never comes.
patience=${PATIENCE:-60}
mkdir -p $work /run/agent
: >$alerts
touch $agent_log

fatal() {
  echo "@fatal $*"
  finish
  exit 1
}

at() {
  local user nice system idle pid=0 stat=()
  read -r _ user nice system idle _ </proc/stat
  [ ! -s $agent_pid ] || read -r pid <$agent_pid
  [ ! -e /proc/$pid/stat ] || read -r -a stat </proc/$pid/stat
  echo "@at $* busy $((user + nice + system)) idle $idle agent $((${stat[13]:-0} + ${stat[14]:-0}))"
}

at "the job begins"

# A pipe that nothing is written to: reading it waits without a process of its own, which emulation makes dear.
exec {never}<> <(:)

# Repeats a command until it succeeds, or fails after $patience seconds.
wait_until() {
  local end=$((SECONDS + patience))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    read -r -t 0.05 -u $never || :
  done
}

# Puts the machine under cgroup v1. A controller can move once no cgroup of cgroup2 has it, which takes the kernel a moment;
# the memory controller keeps its cgroups as long as pages of theirs are cached, and stays.
use_cgroup_v1() {
  local pid dir controller
  pkill -x containerd
  wait_until sh -c '! pgrep -x containerd' >/dev/null
  for pid in $(</sys/fs/cgroup/init/cgroup.procs); do echo "$pid" >/sys/fs/cgroup/cgroup.procs; done 2>/dev/null
  for dir in $(find /sys/fs/cgroup -mindepth 1 -depth -type d); do rmdir "$dir"; done
  for controller in $(</sys/fs/cgroup/cgroup.subtree_control); do
    echo "-$controller" >/sys/fs/cgroup/cgroup.subtree_control
  done
  umount /sys/fs/cgroup && mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup || fatal "leave cgroup2"
  for controller in pids devices freezer cpu cpuset; do
    mkdir /sys/fs/cgroup/$controller
    wait_until mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller || fatal "mount $controller of cgroup v1"
  done
  (setsid containerd >>/var/log/containerd.log 2>&1 </dev/null &)
  wait_until ctr version >/dev/null 2>&1 || fatal "start containerd under cgroup v1"
}

# pids_of NAME: the processes of that name, one a line.
pids_of() {
  local dir name
  for dir in /proc/[0-9]*; do
    { read -r name <"$dir/comm"; } 2>/dev/null && [ "$name" = "$1" ] && echo "${dir#/proc/}"
  done
  return 0
}

no_process() { [ -z "$(pids_of "$1")" ]; }

# --- containers ---------------------------------------------------------------------------------------------------

declare -A runtime_of=() starting=()
# start_container NAME RUNTIME [CTR OPTION...]: begins it; await_containers waits for all that were begun.
start_container() {
  local name=$1 runtime=$2
  shift 2
  runtime_of[$name]=$runtime
  ctr run -d --runc-binary "$runtime" --mount type=bind,src=/job/files,dst=/files,options=rbind:ro \
    "$@" $image "$name" /bin/sleep 1000000 >$work/start-$name 2>&1 </dev/null &
  starting[$name]=$!
}

await_containers() {
  local name
  for name in "${!starting[@]}"; do
    wait "${starting[$name]}" || fatal "start container $name: $(<$work/start-$name)"
  done
  starting=()
  at "containers started"
}

limit=()

# enter_container NAME USER PROGRAM [ARGUMENT...]: replaces the process; ${limit[@]} may be a timeout. By the runtime
# itself, which containerd would call too, after starting another program. And for `ctr task exec --user`, containerd 1.6
# mounts the container's overlay a second time to read /etc/passwd, and the kernel then loses the work directory of the first.
enter_container() {
  local name=$1 user=$2
  shift 2
  exec "${limit[@]}" "${runtime_of[$name]}" --root /run/containerd/runc/default exec --user "$user:$user" "$name" "$@"
}

# A session is a shell inside a container, entered as by `kubectl exec`; acts are commands typed into it.
declare -A session_in=() session_out=() session_pid=()

open_session() {
  local key=$1:$2 pipes=$work/session-${#session_pid[@]}-$RANDOM in out
  mkfifo $pipes.in $pipes.out
  # Opened for both directions, so that neither side waits for the other to open its end.
  exec {in}<>$pipes.in {out}<>$pipes.out
  enter_container "$1" "$2" /bin/sh <$pipes.in >$pipes.out 2>&1 {in}<&- {out}<&- &
  session_pid[$key]=$!
  session_in[$key]=$in
  session_out[$key]=$out
}

close_sessions() {
  local key fd
  for key in "${!session_pid[@]}"; do
    fd=${session_in[$key]}
    echo exit >&"$fd"
    wait "${session_pid[$key]}"
    exec {fd}<&-
    fd=${session_out[$key]}
    exec {fd}<&-
  done
  session_in=() session_out=() session_pid=()
}

# in_session CONTAINER USER COMMAND: sets $status and $output.
in_session() {
  type_in "$@"
  read_output "$1" "$2"
}

# type_in CONTAINER USER COMMAND
type_in() {
  local key=$1:$2 quoted fd
  [ -n "${session_pid[$key]:-}" ] || open_session "$1" "$2"
  quoted=${3//\'/\'\\\'\'}
  fd=${session_in[$key]}
  printf "( eval '%s' ) </dev/null 2>&1; printf '\\\\036%%d\\\\n' \$?\n" "$quoted" >&"$fd"
}

# read_output CONTAINER USER: of the command that was typed in last.
read_output() {
  local key=$1:$2 line partial="" fd end=$((SECONDS + patience))
  fd=${session_out[$key]}
  output="" status=lost
  while [ $SECONDS -lt $end ]; do
    # Time may be up in the middle of a line, of which `line` then has the beginning.
    if ! IFS= read -r -t 1 line <&"$fd"; then
      partial+=$line
      kill -0 "${session_pid[$key]}" 2>/dev/null && continue
      wait "${session_pid[$key]}"
      status=$?
      break
    fi
    line=$partial$line partial=""
    case $line in
      *$'\x1e'*)
        output+=${line%%$'\x1e'*} status=${line##*$'\x1e'}
        return
        ;;
    esac
    output+=$line$'\n'
  done
  output+=$partial
  # The shell is gone or stuck: the next act gets a new one.
  kill "${session_pid[$key]}" 2>/dev/null
  unset "session_pid[$key]"
}

# prepared CONTAINER...: waits for what `type_in` has begun in each, as root.
prepared() {
  local name
  for name; do
    read_output "$name" 0
    [ "$status" = 0 ] || fatal "prepare container $name: status $status: $output"
  done
  at "containers prepared"
}

# --- the agent ----------------------------------------------------------------------------------------------------

# Puts the scenario's policies in place, all at once: the agent reads each state of the folder as a whole.
install_policies() {
  rm -rf /etc/ankylo/policies
  mkdir -p /etc/ankylo
  cp -r /job/policies /etc/ankylo/policies.new
  mv -T /etc/ankylo/policies.new /etc/ankylo/policies
}

# Whether the agent has read them, by the last that its log says of it: asking it costs more than the answer is worth.
agent_read_policies() {
  local lines line read=""
  mapfile -t lines <$agent_log
  for line in "${lines[@]}"; do
    [[ $line != *"Read policies "* ]] || read=$line
  done
  [[ $read == *" policies="[1-9]* ]]
}

# ask PATH: the agent's answer, without starting a program for each of many questions. Fails unless it is 200.
ask() (
  exec {api}<>/dev/tcp/127.0.0.1/8420 || exit 1
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1:8420\r\n\r\n' "$1" >&"$api"
  read -r -t $patience _ status _ <&"$api"
  while read -r -t $patience line <&"$api" && [ "$line" != $'\r' ]; do :; done
  cat <&"$api"
  [ "$status" = 200 ]
) 2>/dev/null
agent_is_ready() { ask /readyz >/dev/null; }

# Until that agent ends: the next has a follower of its own.
follow_alerts() {
  local agent
  agent=$(<$agent_pid)
  while kill -0 "$agent" 2>/dev/null; do
    curl -sN -D $work/headers $agent_url/v1/alerts | sed -un 's/^data: \?//p' >>$alerts
  done
}

# first_alert QUERY PATTERN [ID]: the first part that matches of the alerts that the agent still holds behind that number, 0
# if none is given, as soon as it comes. A pipe to `head` would wait for the next alert, which never comes.
first_alert() {
  local line stream reader
  exec {stream}< <(exec curl -sN -H "Last-Event-ID: ${3:-0}" "$agent_url/v1/alerts?$1")
  reader=$!
  while IFS= read -r -t 20 line <&"$stream"; do
    [[ $line =~ $2 ]] || continue
    echo "${BASH_REMATCH[0]}"
    break
  done
  kill $reader
  exec {stream}<&-
}

# start_agent [OPTION...]: returns when the agent is ready and its alerts are being followed.
start_agent() {
  ankylo run --policies /etc/ankylo/policies "$@" >>$agent_log 2>&1 </dev/null &
  echo $! >$agent_pid
  local end=$((SECONDS + 4 * patience))
  until agent_is_ready; do
    agent_runs || fatal "start the agent: it ended: $(tail -n 5 $agent_log)"
    [ $SECONDS -lt $end ] || fatal "start the agent: not ready in time: $(tail -n 5 $agent_log)"
    read -r -t 0.2 -u $never || :
  done
  follow_agent
}

# follow_agent: returns when the running agent's alerts are being followed, unless nobody wants them.
follow_agent() {
  [ -z "${alerts_unread:-}" ] || return 0
  rm -f $work/headers
  follow_alerts &
  wait_until stream_answered || fatal "follow alerts: no answer from $agent_url/v1/alerts"
  at "alerts followed"
}

stream_answered() { [ -s $work/headers ] && read -r _ status _ <$work/headers && [ "$status" = 200 ]; }

agent_runs() { kill -0 "$(<$agent_pid)" 2>/dev/null; }
agent_is_gone() { ! agent_runs; }

# stop_agent [SIGNAL]: returns when the process is gone.
stop_agent() {
  kill "-${1:-TERM}" "$(<$agent_pid)" 2>/dev/null
  wait_until agent_is_gone
}

agent_knows() { [[ $(ask /v1/workloads) == *"\"$1\""* ]]; }

# agent_applied CONTAINER...: whether the agent knows them all, and every one that a policy selects is under one.
agent_applied() {
  local workloads name
  workloads=$(ask /v1/workloads)
  missing=""
  for name; do [[ $workloads == *"\"$name\""* ]] || missing+=" $name"; done
  [ -z "$missing" ] && [[ $workloads != *'"generation":null,"policies":["'* ]]
}

# await_agent CONTAINER...: until the acts can begin. Where no rule of a policy can be enforced it is never applied: then
# they begin all the same, when patience has ended.
await_agent() {
  wait_until agent_applied "$@" || [ -z "$missing" ] || fatal "the agent does not know of containers:$missing"
  at "policies applied"
}

# --- acts ---------------------------------------------------------------------------------------------------------

# Sets $count.
count_alerts() {
  mapfile -t arrived <$alerts
  count=${#arrived[@]}
}

# act ID CONTAINER USER COMMAND; the container "host" is this machine, with the functions above.
act() {
  local id=$1 from
  count_alerts
  from=$count
  if [ "$2" = host ]; then
    output=$(eval "$4" 2>&1 </dev/null)
    status=$?
  else
    in_session "$2" "$3" "$4"
  fi
  report "$id" "$from"
}

# act_exec ID CONTAINER USER PROGRAM [ARGUMENT...]: entered anew, without a shell.
act_exec() {
  local id=$1 container=$2 user=$3 from limit=(timeout "$patience")
  shift 3
  count_alerts
  from=$count
  if [ "$user" = 0 ]; then
    output=$("${limit[@]}" ctr task exec --exec-id "act-$id" "$container" "$@" 2>&1 </dev/null)
  else
    output=$(enter_container "$container" "$user" "$@" 2>&1 </dev/null)
  fi
  status=$?
  report "$id" "$from"
}

report() {
  local text=${output//\\/\\\\}
  echo "@act $1 $status ${text//$'\n'/\\n}"
  window_id=$1 window_from=$2
}

# await_alert [TEXT...]: waits until an alert that contains all the texts has arrived since the last act began. The first
# that never comes fails the scenario; the others are not waited for as long.
alert_patience=$patience
await_alert() {
  local patience=$alert_patience
  wait_until alert_arrived "$@" || alert_patience=3
}

alert_arrived() {
  local line text
  mapfile -t -s $window_from arrived <$alerts
  for line in "${arrived[@]}"; do
    for text in "$@"; do [[ $line == *"$text"* ]] || continue 2; done
    return 0
  done
  return 1
}

end_window() {
  count_alerts
  echo "@window $window_id $window_from $count"
}

finish() {
  at "the acts have ended"
  if [ -e $agent_pid ]; then stop_agent TERM; fi
  sed 's/^/@alert /' $alerts
  echo "@log $(base64 -w0 $agent_log)"
}
