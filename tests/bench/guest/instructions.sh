# Counts guest instructions: runs in a VM whose clock counts them, 1 ns each. The words of common.sh come before this.

# act NAME CONTAINER ROUNDS REQUEST: puts the cost of one repetition.
act() { put "$1" "$($bench act "$2" "$3" "$4")"; }

# program NAME CONTAINER ROUNDS REQUEST PROGRAM: puts the cost of one run of the program.
program() { put "$1" "$($bench program "$2" "$3" "$4" "$5")"; }

# all NAME CONTAINER REQUEST: puts the cost for the machine, agent included, and NAME.agent for the agent.
all() {
  local costs
  read -ra costs < <($bench all "$2" "$3" "$agent" 3000)
  put "$1" "${costs[0]}"
  put "$1.agent" "${costs[1]}"
}

# Rounds so short that few of them have a timer tick, or the agent at work, in them.
system_calls() {
  act "open.$1" ten 100 "open /etc/passwd 20"
  act "exec.$1" ten 100 "exec /bin/true 2"
  act "change.$1" ten 200 "change /data 5"
}

for name in ten many free; do
  start_container $name
  prepare $name
done
system_calls none
# What is compared with all that the machine does must have timer ticks and RCU's work in it, too.
act exec.whole ten 8 "exec /bin/true 40"

# change NAME PAUSE_MS: puts the time from a policy that is put in place to the first refusal of what it blocks, to a container
# that asks again after each pause; as NAME.agent the agent's work in it.
change() {
  local times dir=/etc/ankylo/policies
  cp /job/policies/changed.yaml $dir/.changed
  read -ra times < <($bench change ten "until-denied /data/changed/file $2" $dir/.changed $dir/changed.yaml "$agent")
  put "$1" "$((times[0] / 1000))e-3"
  put "$1.agent" "${times[1]}"
  rm $dir/changed.yaml
  $bench ask ten "until-allowed /data/changed/file 1" >/dev/null
  wait_until agent_is_quiet
}

# start_enforcing NAME: puts the agent's processor time until its first refusal, with the policies that a container has then.
start_enforcing() {
  start_agent --visibility none
  $bench ask ten "until-denied /data/blocked/secret 5" >/dev/null
  put "$1" "$($bench cpu $agent)"
  await_agent
}

publish ten
start_enforcing start.first
stop_agent
start_agent --visibility none
wait_until agent_is_ready || fatal "the agent is not ready"
put start.again "$($bench cpu $agent)"
stop_agent
ankylo uninstall >/dev/null || fatal "uninstall"
start_enforcing start
for ((i = 0; i < 5; i++)); do
  change policy.change 1
  change policy.change.busy 0
done
publish many
$bench ask many "until-denied /data/blocked/secret 20" >/dev/null
await_agent

system_calls off
for depth in 3 10 30; do
  path=$(path_of_depth $depth)
  program "file_open.$depth.ten" ten 20 "open $path 50" hook_file_open
  program "file_open.$depth.many" many 20 "open $path 50" hook_file_open
done
program file_open.host - 20 "open /etc/passwd 50" hook_file_open
program file_open.free free 20 "open /tmp/dir01/file.txt 50" hook_file_open
program bprm_check.ten ten 10 "exec /bin/true 10" hook_bprm_check_security
stop_agent

start_agent --visibility process --alerts-per-second off
await_agent
# Until the agent has given memory back, ten seconds after its last work: the pages that it reads anew are nobody's exec.
sleep 12
# So often that V8 has compiled what each record takes: some 15 million instructions, once in an agent's life.
$bench ask ten "exec /bin/true 600" >/dev/null
act open.on ten 100 "open /etc/passwd 20"
all exec.on ten "exec /bin/true 600"
curl -sN $agent_url/v1/alerts >alerts &
wait_until grep -qs . alerts
$bench ask ten "denied /data/blocked/secret 1000" >/dev/null
sleep 3
for round in 1 2 3; do
  before=$(grep -c '^data:' alerts)
  all denied ten "denied /data/blocked/secret 2000"
  put alerts "$(($(grep -c '^data:' alerts) - before))"
done
