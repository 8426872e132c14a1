/** umvu on a real terminal: job control, window size, and what the terminal is like afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Pty } from '../helpers/pty.ts';
import { QUOTED, UMVU } from './command.ts';

const SHELL = ['bash', '--norc', '--noprofile', '-i'];
/** A prompt that cannot be mistaken, and no line editor whose echo has escape sequences. */
const ENV = { PS1: '<$?>', PS2: '', HISTFILE: '', INPUTRC: '/dev/null', SHELL: '/bin/sh' };

let pty: Pty | undefined;
function start(command: readonly string[], options = {}): Pty {
  return (pty = new Pty(command, { env: ENV, columns: 200, ...options }));
}
afterEach(async () => {
  await pty?.close();
  pty = undefined;
});

describe('an interactive shell as the command', () => {
  it('has Ctrl-C for what runs in it, and not for itself', async () => {
    const terminal = start([...UMVU, ...SHELL]);
    await terminal.expect('<0>');
    terminal.enter('sleep 100');
    await sleep(300);
    terminal.type('\x03');
    await terminal.expect('<130>');
    terminal.type('\x03');
    await terminal.expect('<130>');
    terminal.enter('exit 7');
    expect(await terminal.exited).toBe(7);
  });

  it('has Ctrl-Z, jobs, bg, fg and kill %1', async () => {
    const terminal = start([...UMVU, ...SHELL]);
    await terminal.expect('<0>');
    terminal.enter('sleep 100');
    await sleep(300);
    terminal.type('\x1a');
    await terminal.expect(/\[1\]\+ {2}Stopped +sleep 100/);
    await terminal.expect('<148>');
    terminal.enter('jobs');
    await terminal.expect(/\[1\]\+ {2}Stopped +sleep 100/);
    terminal.enter('bg');
    await terminal.expect(/\[1\]\+ sleep 100 &/);
    terminal.enter('fg');
    await terminal.expect(/\nsleep 100/);
    await sleep(200);
    terminal.type('\x1a');
    await terminal.expect(/Stopped +sleep 100/);
    terminal.enter('kill %1');
    terminal.enter('until [[ -z $(jobs -s) ]]; do sleep 0.1; done; echo no""ne');
    await terminal.expect(/\nnone/);
    terminal.enter('exit');
    await terminal.exited;
  });

  it('sees the size of the window, and when it changes', async () => {
    const terminal = start([...UMVU, ...SHELL], { rows: 33, columns: 111 });
    await terminal.expect('<0>');
    terminal.enter('stty size');
    await terminal.expect('33 111');
    terminal.enter(`trap 'echo changed; stty size' WINCH; echo se""t`);
    await terminal.expect('set');
    await sleep(200);
    terminal.resize(40, 120);
    await sleep(200);
    terminal.enter(':');
    await terminal.expect(/changed\s+40 120/);
    terminal.enter('exit');
    expect(await terminal.exited).toBe(0);
  });

  it('can be suspended to the outer shell and resumed', async () => {
    const terminal = start(SHELL);
    await terminal.expect('<0>');
    terminal.enter(`PS1='inner$?>' ${QUOTED} ${SHELL.join(' ')}`);
    await terminal.expect('inner0>');
    terminal.enter('suspend');
    await terminal.expect(/Stopped/);
    await terminal.expect(/<\d+>/);
    terminal.enter('fg');
    await sleep(300);
    terminal.enter('echo back-$((40+2))');
    await terminal.expect('back-42');
    terminal.enter('exit 6');
    await terminal.expect('<6>');
  });
});

describe('umvu as a job of an outer shell', () => {
  it('stops at Ctrl-Z, goes on with fg, and ends with 130 at Ctrl-C', async () => {
    const terminal = start(SHELL);
    await terminal.expect('<0>');
    terminal.enter(`${QUOTED} sleep 100`);
    await sleep(1200);
    terminal.type('\x1a');
    await terminal.expect(/\[1\]\+ {2}Stopped/);
    await terminal.expect('<148>');
    terminal.enter('fg');
    await terminal.expect(/sleep 100/);
    await sleep(300);
    terminal.type('\x1a');
    await terminal.expect('<148>');
    terminal.enter('fg');
    await sleep(300);
    terminal.type('\x03');
    await terminal.expect('<130>');
    terminal.enter('jobs; echo none');
    await terminal.expect(/\nnone/);
    terminal.enter('exit');
    expect(await terminal.exited).toBe(0);
  });

  it('ends with kill %1, in the background and stopped', async () => {
    const terminal = start(SHELL);
    await terminal.expect('<0>');
    terminal.enter(`${QUOTED} sleep 100 &`);
    await terminal.expect('<0>');
    await sleep(1200);
    terminal.enter('kill %1; wait %1; echo status $?');
    await terminal.expect('status 143');
    terminal.enter(`${QUOTED} sleep 100`);
    await sleep(1200);
    terminal.type('\x1a');
    await terminal.expect('<148>');
    terminal.enter('kill %1');
    await sleep(400);
    terminal.enter('wait; jobs; echo no""ne');
    expect((await terminal.expect(/wait;[^]*none/))[0]).not.toContain('topped');
    terminal.enter('exit');
    await terminal.exited;
  });

  it('ends with 131 at Ctrl-\\', async () => {
    const terminal = start(SHELL);
    await terminal.expect('<0>');
    terminal.enter(`${QUOTED} sleep 100`);
    await sleep(1200);
    terminal.type('\x1c');
    await terminal.expect('<131>');
    terminal.enter('exit');
    await terminal.exited;
  });

  it('leaves the terminal as it found it', async () => {
    const terminal = start(SHELL);
    await terminal.expect('<0>');
    terminal.enter('before=$(stty -g)');
    await terminal.expect('<0>');
    terminal.enter(`PS1='inner$?>' ${QUOTED} ${SHELL.join(' ')}`);
    await terminal.expect('inner0>');
    terminal.enter('true | cat; exit 5');
    await terminal.expect('<5>');
    terminal.enter('[ "$before" = "$(stty -g)" ] && echo sa"me"');
    await terminal.expect('same');
    // The shell has the terminal again: a job of it gets Ctrl-C.
    terminal.enter('sleep 100');
    await sleep(200);
    terminal.type('\x03');
    await terminal.expect('<130>');
    terminal.enter('exit 0');
    expect(await terminal.exited).toBe(0);
  });
});

describe('umvu without a command', () => {
  it('greets a person, shows where one is, and runs $SHELL', async () => {
    const terminal = start([...UMVU, '--name', 'blue'], { env: { ...ENV, PS1: '[$debian_chroot]' } });
    await terminal.expect(/umvu \S+: this shell is in a view of its own «blue»/);
    await terminal.expect('[blue]');
    terminal.enter('echo $0 $UMVU_VIEW');
    await terminal.expect('/bin/sh blue');
    terminal.type('\x04');
    expect(await terminal.exited).toBe(0);
  });

  it('is silent with -q', async () => {
    const terminal = start([...UMVU, '-q'], { env: { ...ENV, PS1: 'ready>' } });
    await terminal.expect('ready>');
    expect(terminal.transcript).not.toContain('this shell is in a view');
    terminal.enter('exit');
    expect(await terminal.exited).toBe(0);
  });
});

it('a hang-up of the terminal ends the command', async () => {
  const terminal = start([...UMVU, 'sh', '-c', 'echo pid $$; sleep 100']);
  const [, pid] = await terminal.expect(/pid (\d+)/);
  await terminal.close();
  await sleep(500);
  expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
});
