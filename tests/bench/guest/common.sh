# What both guests of the bench begin with. Results are lines "@bench NAME VALUE"; "@fatal TEXT" ends a run.
set -u
image=docker.io/library/busybox:latest
bench=/job/bench
work=/run/bench
agent_url=http://127.0.0.1:8420
agent_log=$work/agent.log
patience=120
mkdir -p $work /etc/ankylo/policies
: >$agent_log
cd $work || exit 1

fatal() {
  echo "@fatal $*"
  tail -n 20 $agent_log
  exit 1
}

put() { echo "@bench $1 $2"; }

wait_until() {
  local end=$((SECONDS + patience))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}

# start_container NAME: its main program serves requests from the pipes in $work/NAME. The guest stays in $work, so that
# NAME alone leads there.
start_container() {
  local output
  mkdir -p "$work/$1"
  mkfifo "$work/$1/requests" "$work/$1/answers"
  output=$(ctr run -d --label "app=$1" --mount type=tmpfs,src=tmpfs,dst=/tmp \
    --mount type=bind,src=$bench,dst=/bench,options=bind:ro \
    --mount "type=bind,src=$work/$1,dst=/pipes,options=bind" \
    $image "$1" /bench serve /pipes 2>&1 </dev/null) || fatal "start container $1: $output"
}

# prepare NAME: the files that requests name, seen from the host through the container's main process.
prepare() {
  local root path dir depth
  root=/proc/$(ctr task ls | awk -v name="$1" '$1 == name { print $2 }')/root
  mkdir -p "$root/data/blocked" "$root/data/changed"
  echo text >"$root/data/blocked/secret"
  echo text >"$root/data/changed/file"
  echo text >"$root/data/file"
  for depth in 3 10 30; do
    path=$(path_of_depth $depth)
    dir=${path%/*}
    mkdir -p "$root$dir"
    echo text >"$root$path"
  done
}

# /tmp/dir01/.../file.txt with so many names.
path_of_depth() {
  local path=/tmp i
  for ((i = 1; i < $1 - 1; i++)); do path+=$(printf /dir%02d $i); done
  echo "$path/file.txt"
}

agent_is_ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' $agent_url/readyz)" = 200 ]; }

# Whether every container that a policy selects is under one.
agent_applied() {
  local workloads
  workloads=$(curl -s $agent_url/v1/workloads) && [[ $workloads == *'"id"'* ]] &&
    [[ $workloads != *'"generation":null,"policies":["'* ]]
}

start_agent() {
  ankylo run "$@" >>$agent_log 2>&1 </dev/null &
  agent=$!
}

await_agent() {
  wait_until agent_is_ready || fatal "the agent is not ready"
  wait_until agent_applied || fatal "the agent has not applied its policies"
  wait_until agent_is_quiet || fatal "the agent does not come to rest"
}

# Returns when the agent has nothing left to do: less than 2 % of a second's work in a second.
agent_is_quiet() {
  local before
  before=$($bench cpu "$agent")
  sleep 1
  [ $(($($bench cpu "$agent") - before)) -lt 20000000 ]
}

stop_agent() {
  kill -TERM "$agent"
  wait "$agent"
}

# publish NAME: puts /job/policies/NAME.yaml in force, as one change.
publish() {
  cp "/job/policies/$1.yaml" "/etc/ankylo/policies/.$1"
  mv "/etc/ankylo/policies/.$1" "/etc/ankylo/policies/$1.yaml"
}
