/** `umvu doctor`: what this machine offers, what still works without it, and what to do. */
import { release } from 'node:os';
import type { Parsed } from './parse.ts';
import * as probes from './probes.ts';
import { colourful, print, reason, wrap } from './output.ts';

/** One question, with what a person needs to know when the answer is no. */
interface Check {
  /** Stable name for programs (`--json`). */
  readonly id: string;
  readonly what: string;
  /** Without it no guest runs at all. */
  readonly required: boolean;
  /** What works without it, or what does not. */
  readonly without: string;
  readonly remedy: string | (() => string);
  readonly probe: () => probes.Finding | Promise<probes.Finding>;
}

/** The answer to a check, as `--json` shows it. */
export interface Diagnosis {
  id: string;
  what: string;
  state: 'ok' | 'missing';
  required: boolean;
  detail: string;
  without?: string;
  remedy?: string;
}

const BUILD = 'run «npm run build» in the folder of umvu';
const NEWER = 'boot a newer kernel (5.19 or later; 6.6 or later for full speed)';
const POLICY = 'boot Linux 5.19 or later; in a container, allow the call in its seccomp profile';

/** Said by a kernel's version where no harmless call tells. */
const since = (major: number, minor: number) => (): probes.Finding => ({
  ok: probes.kernelAtLeast(major, minor),
  detail: `in Linux since ${major}.${minor}, this is ${release()}`,
});

/** A guest that runs is worth more than all that was asked before. */
async function guestRuns(): Promise<probes.Finding> {
  try {
    const { startVm } = await import('../index.ts');
    const vm = await startVm({});
    try {
      const { code, signal } = await (await vm.spawn('true', [], { stdio: 'ignore' })).exited;
      return {
        ok: code === 0,
        detail: code === 0 ? '«true» was run' : `«true» ended with ${code ?? signal}`,
      };
    } finally {
      await vm.close();
    }
  } catch (error) {
    return { ok: false, detail: reason(error).split('\n', 1)[0] ?? '' };
  }
}

const CHECKS: readonly Check[] = [
  {
    id: 'addon',
    what: 'native addon',
    required: true,
    without: 'nothing runs',
    remedy: BUILD,
    probe: probes.builtAddon,
  },
  {
    id: 'launcher',
    what: 'launcher of guests',
    required: true,
    without: 'nothing runs',
    remedy: BUILD,
    probe: probes.builtLauncher,
  },
  {
    id: 'broker',
    what: 'broker of namespaces',
    required: false,
    remedy: BUILD,
    probe: probes.builtBroker,
    without: 'programs run; stacks of type vdestack cannot be mounted',
  },
  {
    id: 'commands',
    what: 'commands for guests',
    required: false,
    remedy: BUILD,
    probe: probes.builtCommands,
    without: 'programs run; --net and the TypeScript API still mount, vumount and vustack do not exist',
  },
  {
    id: 'seccomp-notify',
    what: 'seccomp user notification',
    required: true,
    remedy: POLICY,
    probe: probes.userNotification,
    without: 'nothing runs',
  },
  {
    id: 'seccomp-addfd-send',
    what: 'descriptors injected with the answer (ADDFD_FLAG_SEND)',
    required: true,
    remedy: NEWER,
    without: 'nothing runs',
    probe: since(5, 14),
  },
  {
    id: 'seccomp-wait-killable',
    what: 'notifications that signals do not interrupt (WAIT_KILLABLE_RECV)',
    required: true,
    without: 'nothing runs',
    remedy: NEWER,
    probe: probes.waitKillable,
  },
  {
    id: 'seccomp-sync-wakeup',
    what: 'synchronous wake-up of notifications',
    required: false,
    remedy: NEWER,
    probe: since(6, 6),
    without: 'everything works, a trapped call takes about ten times as long',
  },
  {
    id: 'pidfd-getfd',
    what: 'pidfd_getfd',
    required: true,
    without: 'nothing runs',
    remedy: POLICY,
    probe: probes.pidfdGetfd,
  },
  {
    id: 'memory',
    what: 'memory of guests (process_vm_readv)',
    required: true,
    remedy: POLICY,
    probe: probes.memoryAccess,
    without: 'nothing runs',
  },
  {
    id: 'ptrace-scope',
    what: 'permission to look into guests',
    required: true,
    without: 'nothing runs',
    probe: () => probes.ptraceScope(),
    remedy: 'sysctl kernel.yama.ptrace_scope=1',
  },
  {
    id: 'openat2',
    what: 'openat2',
    required: true,
    without: 'nothing runs',
    remedy: POLICY,
    probe: probes.openat2,
  },
  {
    id: 'seccomp-mode',
    what: 'no seccomp listener of somebody else',
    required: true,
    remedy: 'start umvu outside of the other sandbox',
    without: 'nothing runs',
    probe: probes.seccompMode,
  },
  {
    id: 'user-namespaces',
    what: 'user namespaces',
    required: false,
    probe: probes.userNamespaces,
    without: 'programs run on the other stacks; those of type vdestack cannot be mounted',
    remedy: () =>
      probes.usernsRemedies().join('; ') ||
      'allow user namespaces (kernel.*userns* and the policy of the container)',
  },
  {
    id: 'lwip',
    what: 'stack in user space',
    required: false,
    probe: probes.userSpaceStack,
    without: 'programs run; stacks of type lwip cannot be mounted',
    remedy: `${BUILD}: it says why the source of lwIP cannot be had; UMVU_LWIP_SOURCE can name it`,
  },
  {
    id: 'tun',
    what: 'TAP devices',
    required: false,
    probe: probes.tunDevice,
    without:
      'everything works: stacks use veth pairs and packet sockets instead, which are slower; tap:// does not',
    remedy: 'chmod 0666 /dev/net/tun, or modprobe tun where it does not exist',
  },
  {
    id: 'libvdeplug',
    what: 'libvdeplug',
    required: false,
    probe: probes.libvdeplug,
    without:
      'null://, hub://, switch:// and vde:// are built in; vxvde://, tap://, slirp:// and the others do not work',
    remedy: 'apt-get install libvdeplug2, or the package of your system that has libvdeplug.so.2',
  },
  {
    id: 'io-uring',
    what: 'io_uring',
    required: false,
    without: '',
    remedy: '',
    probe: () => ({ ok: true, detail: 'not needed: guests are told that there is none' }),
  },
  {
    id: 'guest',
    what: 'a guest',
    required: true,
    without: 'nothing runs',
    remedy: 'see the lines above',
    probe: guestRuns,
  },
];

/** Answers all checks, in order. */
export async function diagnose(checks: readonly Check[] = CHECKS): Promise<Diagnosis[]> {
  const answers: Diagnosis[] = [];
  for (const { id, what, required, without, remedy, probe } of checks) {
    const { ok, detail } = await attempt(probe);
    const answer: Diagnosis = { id, what, state: ok ? 'ok' : 'missing', required, detail };
    if (!ok) Object.assign(answer, { without, remedy: typeof remedy === 'string' ? remedy : remedy() });
    answers.push(answer);
  }
  return answers;
}

/** A probe that throws has found that something is missing. */
async function attempt(probe: Check['probe']): Promise<probes.Finding> {
  try {
    return await probe();
  } catch (error) {
    return { ok: false, detail: (error as Error).message.split('\n', 1)[0] ?? '' };
  }
}

/** True when guests can run, whatever else is missing. */
export const healthy = (answers: readonly Diagnosis[]): boolean =>
  answers.every(({ state, required }) => state === 'ok' || !required);

/** A sentence on the stacks that work here; nothing where it was not asked. */
function stacksThatWork(answers: readonly Diagnosis[]): string {
  const good = (id: string): boolean => answers.some((answer) => answer.id === id && answer.state === 'ok');
  if (!answers.some(({ id }) => id === 'lwip')) return '';
  const names = [
    ...(good('lwip') ? ['lwip'] : []),
    ...(good('broker') && good('user-namespaces') ? ['vdestack'] : []),
    'kernel',
    'null',
  ];
  return `Stacks that work: ${names.join(', ')}.\n`;
}

/** The answers for people. */
export function prose(answers: readonly Diagnosis[], colour: boolean): string {
  const paint = (code: number, text: string): string => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const lines = answers.flatMap(({ state, required, what, detail, without, remedy }) => {
    const mark = state === 'ok' ? paint(32, 'ok     ') : paint(required ? 31 : 33, 'missing');
    const more = [without && `without it: ${without}`, remedy && `to do: ${remedy}`].filter(
      (text) => text !== undefined,
    );
    return [
      `${mark}  ${what}: ${detail}`,
      ...more.flatMap((text) => wrap(text, 68)).map((line) => ' '.repeat(11) + line),
    ];
  });
  const missing = answers.filter(({ state }) => state === 'missing').length;
  const last = !healthy(answers)
    ? 'Guests cannot run on this machine as it is.'
    : missing > 0
      ? `Guests can run; ${missing} of ${answers.length} checks found something missing.`
      : 'Guests can run, and nothing is missing.';
  const stacks = healthy(answers) ? stacksThatWork(answers) : '';
  return `${lines.join('\n')}\n\n${last}\n${stacks}`;
}

/** The command: exit status 0 when guests can run. */
export async function doctor(options: Parsed): Promise<number> {
  const answers = await diagnose();
  const ok = healthy(answers);
  if (options.has('json')) print(1, `${JSON.stringify({ ok, checks: answers }, null, 2)}\n`);
  else print(1, prose(answers, colourful(process.stdout)));
  return ok ? 0 : 1;
}
