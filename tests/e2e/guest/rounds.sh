# Rounds of the differential test, in the words of driver.sh. What is printed is read by ../differential/compare.ts.
told=$work/told
told_offset=$work/told-offset

# follow_rounds: alerts go to a file that no act reads as a whole.
follow_rounds() {
  echo 1 >$told_offset
  echo 0 >$work/mark
  (alerts_unread="" alerts=$told follow_agent) >/dev/null 2>&1
}

generations() { ask /v1/workloads | grep -o '"generation":[^,]*'; }

# Whether every container has another image than before, when the generations were $1.
all_changed() {
  local now
  now=$(generations)
  [ -n "$now" ] && ! paste -d' ' <(echo "$1") <(echo "$now") | grep -qE '^(.*) \1$|null'
}

# swap_policies FILE: returns when all containers are under the policies in it, which must differ for each from those before.
swap_policies() {
  local before
  before=$(generations)
  cp "$1" /etc/ankylo/round.new
  mv /etc/ankylo/round.new /etc/ankylo/policies/round.yaml
  wait_until all_changed "$before" || echo "the policies of $1 are not in force: $(generations)"
}

# alert_of_mark NUMBER: whether the last alert is that of the mark.
alert_of_mark() { [[ $(tail -n 1 $told) == *"\"Resource\":\"/marks/$1\""* ]]; }

# catch_up: returns when all alerts so far have arrived: the kernel keeps few of a container that is ahead of its agent.
catch_up() {
  local mark
  mark=$(($(<$work/mark) + 1))
  echo $mark >$work/mark
  in_session mark 0 "cat /marks/$mark"
  wait_until alert_of_mark $mark || echo "the alert of mark $mark did not come"
}

# round NAME CONTAINER...: builds the trees, does the lists, and prints what came of it.
round() {
  local name=$1 container root program part
  shift
  for container; do
    root=/proc/$(</run/containerd/io.containerd.runtime.v2.task/default/$container/init.pid)/root
    /job/files/differ build $root /job/files/$name-$container.tree
  done
  for container; do
    program="/s/main run"
    [ ! -e /job/files/$name-$container.terminal ] || program="/files/terminal $program"
    for part in /job/files/$name-$container.list.*; do
      in_session "$container" 0 "$program /files/${part##*/}"
      echo "list $container"
      echo "$output"
      catch_up
    done
  done
  echo "alerts $(tail -c "+$(<$told_offset)" $told | gzip | base64 -w0)"
  echo $(($(stat -c %s $told) + 1)) >$told_offset
}
