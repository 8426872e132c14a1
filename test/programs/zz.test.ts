import { it } from 'vitest';
import { tryScript } from '/work/main/test/helpers/script.ts';
it('x', async () => {
  const r = await tryScript('root', `
T() { local s=$(date +%s%N); "$@"; echo "$(( ($(date +%s%N)-s)/1000000 )) ms: $1 $2 $3"; }
VM=$(vuname -U)
held() {
  local n=0 pid
  for pid in $VM $(pgrep -P $VM); do
    if [[ $(readlink /proc/$pid/exe) =~ (node|umvu-broker)$ ]]; then n=$((n + $(ls /proc/$pid/fd | wc -l))); fi
  done
  echo $n
}
stack a 1 null://
many() {
a bash -c 'for n in {1..100}; do (exec 3<>/dev/udp/10.0.0.9/9) & done; wait'
a bash -c 'for n in {1..20}; do sleep 10 & done; kill -9 $(jobs -p); wait' 2>/dev/null
a timeout -s KILL 0.2 bash -c 'while :; do (exec 3<>/dev/udp/10.0.0.9/9); done' || true
}
held
many
sleep 0.3
held
many
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do held; sleep 1; done
ls -l /proc/$VM/fd | awk '{print $NF}'| sed 's/[0-9]//g' | sort | uniq -c
pgrep -P $VM -a
for f in /proc/$VM/fdinfo/*; do grep -H -s ^Pid $f; done
`);
  console.log(r.stdout, r.stderr);
});
