/** Shell scripts that run as the guest of one umvu: the setting of the tests of real programs. */
import { describe, expect, it } from 'vitest';
import type { ExecResult } from './exec.ts';
import { umvu, type UmvuOptions } from './umvu.ts';
import { stackOf, USERS, type Who } from './users.ts';

/**
 * What every script starts with. $STACK is the kind of stacks that the user can have. The stacks /dev/net/a and /dev/net/b share a hub: 10.0.0.1 and fd00::1 are a,
 * 10.0.0.2 and fd00::2 are b. A failing command ends the script and says which it was.
 */
const PRELUDE = String.raw`
set -eEuo pipefail
trap 'echo "failed with status $?, line $LINENO: $BASH_COMMAND" >&2' ERR
a() { vustack /dev/net/a "$@"; }
b() { vustack /dev/net/b "$@"; }

# stack NAME NUMBER [VNL]: a stack with the addresses 10.0.0.NUMBER and fd00::NUMBER
stack() {
  vumount -t vunetioth -o "$3" "$STACK" "/dev/net/$1"
  vustack "/dev/net/$1" ip -batch - <<IP
addr add 10.0.0.$2/24 dev vde0
addr add fd00::$2/64 dev vde0 nodad
link set vde0 up
link set lo up
IP
}
two_stacks() {
  stack a 1 "hub://$PWD/hub"
  stack b 2 "hub://$PWD/hub"
}

# listening STACK PORT [-u]: waits until a program listens on the port
listening() {
  local kind=-t
  if (($# > 2)); then kind=$3; fi
  for ((i = 0; i < 200; i++)); do
    if "$1" ss -Hnl $kind "sport = :$2" | grep -q .; then return; fi
    sleep 0.05
  done
  echo "nothing listens on port $2 of $1" >&2
  return 1
}
# retry COMMAND...: until it succeeds, for 5 s
retry() {
  for ((i = 0; i < 100; i++)); do
    if "$@" 2>/dev/null; then return; fi
    sleep 0.05
  done
  "$@"
}
# fails COMMAND...: runs a command that must fail, and prints what it says
fails() {
  if "$@" 2>&1; then echo "no failure: $*" >&2; return 1; fi
}
`;

export interface ScriptOptions extends UmvuOptions {
  /** Options of umvu; the module vunetioth alone by default. */
  options?: readonly string[];
}

/** Runs a bash script in umvu as `who`. The result is not checked. */
export function tryScript(who: Who, body: string, options: ScriptOptions = {}): Promise<ExecResult> {
  return umvu([...(options.options ?? ['-m', 'vunetioth']), '--', 'bash', '-c', PRELUDE + body], {
    ...options,
    as: who,
    env: { STACK: stackOf(who), ...options.env },
  });
}

/** Runs a bash script in umvu as `who`, which must succeed; its standard output. */
export async function script(who: Who, body: string, options: ScriptOptions = {}): Promise<string> {
  const { code, signal, timedOut, stdout, stderr } = await tryScript(who, body, options);
  const what = `${body}\n-- standard output:\n${stdout}\n-- standard error:\n${stderr}`;
  expect({ code, signal, timedOut }, what).toEqual({ code: 0, signal: null, timedOut: false });
  return stdout;
}

/** Tests of what other users may in a VM of root. Where the tests do not run as root there is no such VM: the kernel refuses to become another user. */
export const inVmOfRoot: (name: string, tests: () => void) => void =
  USERS[0] === 'root'
    ? describe
    : (name) =>
        it(`${name} cannot be: nobody becomes another user`, async () => {
          const out = await script('an ordinary user', 'fails setpriv --reuid=1 --clear-groups true');
          expect(out).toContain('Operation not permitted');
        });
