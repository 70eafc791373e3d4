# Counts guest instructions: runs in a VM whose clock counts them, 1 ns each. The words of common.sh come before this.

# act NAME CONTAINER REQUEST: puts the cost of one repetition.
act() { put "$1" "$($bench act "$2" "$rounds" "$3")"; }

# program NAME CONTAINER REQUEST PROGRAM: puts the cost of one run of the program.
program() { put "$1" "$($bench program "$2" "$rounds" "$3" "$4")"; }

# all NAME CONTAINER REQUEST: puts the cost for the machine, agent included, and NAME.agent for the agent.
all() {
  local costs
  read -ra costs < <($bench all "$2" "$3" "$agent" 3000)
  put "$1" "${costs[0]}"
  put "$1.agent" "${costs[1]}"
}

rounds=5

system_calls() {
  act "open.$1" ten "open /etc/passwd 400"
  act "exec.$1" ten "exec /bin/true 30"
  act "change.$1" ten "change /data 100"
}

for name in ten many free; do
  start_container $name
  prepare $name
done
system_calls none

# The agent's processor time until its first refusal, with the policies that a container has then.
publish ten
start_agent --visibility none
$bench ask ten "until-denied /data/blocked/secret 5" >/dev/null
put start "$($bench cpu $agent)"
await_agent
publish many
$bench ask many "until-denied /data/blocked/secret 20" >/dev/null
await_agent

system_calls off
for depth in 3 10 30; do
  path=$(path_of_depth $depth)
  program "file_open.$depth.ten" ten "open $path 200" hook_file_open
  program "file_open.$depth.many" many "open $path 200" hook_file_open
done
program file_open.host - "open /etc/passwd 200" hook_file_open
program file_open.free free "open /tmp/dir01/file.txt 200" hook_file_open
program bprm_check.ten ten "exec /bin/true 30" hook_bprm_check_security
stop_agent

start_agent --visibility process --alerts-per-second off
await_agent
$bench ask ten "exec /bin/true 200" >/dev/null
act open.on ten "open /etc/passwd 400"
all exec.on ten "exec /bin/true 200"
curl -sN $agent_url/v1/alerts >alerts &
wait_until grep -qs . alerts
$bench ask ten "denied /data/blocked/secret 1000" >/dev/null
sleep 3
before=$(grep -c '^data:' alerts)
all denied ten "denied /data/blocked/secret 2000"
put alerts "$(($(grep -c '^data:' alerts) - before))"
