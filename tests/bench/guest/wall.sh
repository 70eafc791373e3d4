# Measures what is not instructions: wall time, memory, bursts. The words of common.sh come before this.
# Variables: many_containers, how many containers with a policy of their own are started for the memory; 0: none.

alert_count() { grep -c '^data:' alerts; }

# Sum of the agent's metrics whose names match.
metric() { curl -s $agent_url/metrics | awk -v name="$1" '$1 ~ "^ankylo_(" name ")" { sum += $2 } END { printf "%d\n", sum }'; }

# Every decision is an alert that arrived, or is counted as one that was not.
burst() {
  local alerts counted not_sent='kernel_alerts_lost|kernel_limited|subscriber_lost'
  curl -sN $agent_url/v1/alerts >alerts &
  wait_until grep -qs . alerts
  counted=$(metric "$not_sent")
  alerts=$(alert_count)
  $bench ask ten "denied /data/blocked/secret 10000" >/dev/null
  wait_until agent_is_quiet
  put burst.alerts "$(($(alert_count) - alerts))"
  put burst.counted "$(($(metric "$not_sent") - counted))"
}

memory_mb() { awk -v name="$1:" '$1 == name { printf "%.1f\n", $2 / 1024 }' "/proc/$agent/status"; }

# put_memory NAME: when the agent has given back what it no longer needs, ten seconds after its last work. In MB, of 2^20
# bytes: all that is resident, with the rings' 20 MB and Deno's pages in the page cache; and what is the agent's alone.
put_memory() {
  sleep 15
  put "$1" "$(memory_mb VmRSS)"
  put "$1.own" "$(memory_mb RssAnon)"
}

start_container ten
prepare ten
publish ten
start_agent
await_agent
put_memory rss.idle
for ((i = 0; i < many_containers; i++)); do
  sed "s/NAME/c$i/g" /job/policies/each.template >"/etc/ankylo/policies/c$i.yaml"
  ctr run -d --label "app=c$i" $image "c$i" /bin/sleep 1000000 >/dev/null 2>&1 </dev/null || fatal "start container c$i"
done
if [ "$many_containers" -gt 0 ]; then
  await_agent
  put_memory rss.many
fi
burst
