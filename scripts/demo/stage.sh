# The stage of the demonstration: an agent with the example policies, a container "web" that they select and a container
# "free" that none selects. Runs as root, in the VM or on this machine, and tells on standard output what happens; every
# line of its own begins with "@", and outputs are in base64:
#   @serving                        the agent answers HTTP
#   @ready                          the policies are in force in both containers
#   @attack TITLE                   the acts that follow belong to it
#   @act WEB WEB FREE FREE COMMAND  one command in both containers: status and output in each
#   @out TEXT, @err TEXT            a line that the user's command printed
#   @failed TEXT                    why the stage could not be set
# Variables, set by scripts/demo/stage.ts:
#   DEMO_DIR      a folder with policies/ and, for a user's command, its words in `command`, each ended by a NUL
#   DEMO_BINARY   the agent
#   DEMO_PORT     the agent's port on 127.0.0.1
#   DEMO_OUTSIDE  the address on which the same port is offered to the outside; empty on this machine itself
set -u
image=docker.io/library/busybox:latest
token_dir=/run/secrets/kubernetes.io/serviceaccount
secret=$DEMO_DIR/secret
agent_log=$DEMO_DIR/agent.log
# Emulated on a busy machine, what takes 10 s has been seen to take 150 s.
patience=400

fail() {
  echo "@failed $*"
  exit 1
}

# A volume as the kubelet makes it: the names are links, so that a renewal swaps them all at once.
write_token() {
  local version=..2026_01_31_09_00_00.123456789
  mkdir -p "$secret/$version"
  printf '%s\n' 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZGVtbzp3ZWIifQ.' >"$secret/$version/token"
  ln -sfn "$version" "$secret/..data"
  ln -sfn ..data/token "$secret/token"
}

# start_container NAME [CTR OPTION...]
start_container() {
  local name=$1 output
  shift
  output=$(ctr run -d --mount "type=bind,src=$secret,dst=$token_dir,options=rbind:ro" "$@" \
    $image "$name" /bin/sleep 1000000 2>&1 </dev/null) || fail "start container $name: $output"
}

start_agent() {
  "$DEMO_BINARY" run --policies "$DEMO_DIR/policies" --listen "127.0.0.1:$DEMO_PORT" >"$agent_log" 2>&1 </dev/null &
  agent=$!
  # The agent listens on the loopback address only, which QEMU's network does not reach.
  [ -z "$DEMO_OUTSIDE" ] ||
    socat "TCP-LISTEN:$DEMO_PORT,bind=$DEMO_OUTSIDE,fork,reuseaddr" "TCP:127.0.0.1:$DEMO_PORT" 2>/dev/null &
}

# get PATH: sets $answer. Without curl: an emulated machine needs a tenth of a second for each new process.
get() {
  answer=""
  { exec 5<>"/dev/tcp/127.0.0.1/$DEMO_PORT"; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$1" >&5
  # An agent that does not listen yet may reset the connection.
  IFS= read -r -d '' answer <&5 2>/dev/null
  exec 5>&-
  [[ $answer == HTTP/1.?\ 200* ]]
}

# wait_for COMMAND...: until it succeeds.
wait_for() {
  local end=$((SECONDS + patience))
  until "$@"; do
    kill -0 "$agent" 2>/dev/null || fail "the agent ended: $(tail -n 5 "$agent_log" | tr '\n' ' ')"
    [ $SECONDS -lt $end ] || fail "the agent is not ready after $patience s: $(tail -n 5 "$agent_log" | tr '\n' ' ')"
    sleep 0.1
  done
}

web_is_policed() { get /v1/workloads && [[ $answer == *'"policies":["'* && $answer == *'"name":"free"'* ]]; }

# try_in CONTAINER COMMAND...: prints status and output, ready for @act.
try_in() {
  local container=$1 output
  shift
  output=$(timeout "$patience" ctr task exec --exec-id "try-$BASHPID" "$container" "$@" 2>&1 </dev/null)
  echo "$? $(base64 -w0 <<<"$output")"
}

attack() { echo "@attack $*"; }

# Both at once: each leaves one of two CPUs idle for half its time.
act() {
  local free
  exec 6< <(try_in free "$@")
  local web
  web=$(try_in web "$@")
  read -r free <&6
  exec 6<&-
  echo "@act $web $free $*"
}

try_attacks() {
  attack read the service-account token
  act cat $token_dir/token
  attack run a shell
  act sh -c id
  attack drop a program and run it
  act cp /bin/cat-dyn /tmp/dropped
  act /tmp/dropped /proc/self/comm
}

run_command() {
  local command
  mapfile -d '' -t command <"$DEMO_DIR/command"
  exec 4>&1
  {
    "${command[@]}" 2>&3 3>&- 4>&- </dev/null | sed -u 's/^/@out /' >&4
    exit "${PIPESTATUS[0]}"
  } 3>&1 | sed -u 's/^/@err /' >&4
  exit "${PIPESTATUS[0]}"
}

# On this machine nothing may stay behind; a VM just ends.
clear_stage() {
  [ -n "${agent:-}" ] && kill "$agent" 2>/dev/null && wait "$agent"
  "$DEMO_BINARY" uninstall
  local name
  for name in web free; do
    ctr task kill --signal KILL $name
    ctr task delete --force $name
    ctr container delete $name
  done
} >/dev/null 2>&1

if [ -z "$DEMO_OUTSIDE" ]; then
  trap clear_stage EXIT
  trap 'exit 130' INT TERM
  ctr images import "$DEMO_DIR/busybox.tar" >/dev/null || fail "import the demonstration's image"
fi
write_token
start_agent
start_container web --label app=web &
start_web=$!
start_container free &
wait $start_web && wait $! || exit 1
wait_for get /healthz
echo "@serving"
wait_for get /readyz
wait_for web_is_policed
echo "@ready"
if [ -e "$DEMO_DIR/command" ]; then run_command; fi
try_attacks
echo "@done"
# Alerts go on coming, for those who follow them.
while :; do
  # In the background: bash runs a trap only between commands, and during `wait`.
  sleep 15 &
  wait $!
  try_in web cat $token_dir/token >/dev/null
done
