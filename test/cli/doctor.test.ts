import { describe, expect, it } from 'vitest';
import { diagnose, healthy, prose, type Diagnosis } from '../../runtime/cli/doctor.ts';
import { kernelAtLeast, ptraceScope, usernsRemedies } from '../../runtime/cli/probes.ts';
import { exec } from '../helpers/exec.ts';
import { umvuCommand, umvuEnvironment } from '../helpers/umvu.ts';
import { umvu } from './command.ts';

const answer = (more: Partial<Diagnosis>): Diagnosis => ({
  id: 'x',
  what: 'thing',
  state: 'ok',
  required: true,
  detail: 'seen',
  ...more,
});
const missing = (required: boolean): Diagnosis =>
  answer({ state: 'missing', required, detail: 'not there', without: 'less works', remedy: 'get it' });

describe('umvu doctor', () => {
  it('finds on the test machine all that guests need', async () => {
    const { code, stdout, stderr } = await umvu(['doctor']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ok {7}native addon: /);
    expect(stdout).toMatch(/^ok {7}a guest: «true» was run$/m);
    expect(stdout).toMatch(/\n\nGuests can run[^\n]+\nStacks that work: lwip, vdestack, kernel, null\.\n$/);
    expect(stdout).not.toContain('\x1b');
  });

  it('has a form for programs', async () => {
    const { code, stdout } = await umvu(['doctor', '--json']);
    const report = JSON.parse(stdout) as { ok: boolean; checks: Diagnosis[] };
    expect({ code, ok: report.ok }).toEqual({ code: 0, ok: true });
    const ids = report.checks.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of [
      'addon',
      'broker',
      'seccomp-notify',
      'user-namespaces',
      'lwip',
      'tun',
      'libvdeplug',
      'guest',
    ])
      expect(ids).toContain(id);
    for (const check of report.checks)
      expect(check.state === 'ok' || Boolean(check.remedy && check.without)).toBe(true);
  });

  it('is content with what an ordinary user has', async () => {
    const [command = '', ...args] = umvuCommand(['doctor', '--json'], 'an ordinary user');
    const { code, stdout } = await exec(command, args, { env: umvuEnvironment('/tmp') });
    const { checks } = JSON.parse(stdout) as { checks: Diagnosis[] };
    expect(code, stdout).toBe(0);
    expect(checks.find(({ id }) => id === 'guest')).toMatchObject({ state: 'ok' });
  });

  it('says which stacks are left to a user without namespaces', async () => {
    const [command = '', ...args] = umvuCommand(['doctor'], 'a user without namespaces');
    const { code, stdout } = await exec(command, args, { env: umvuEnvironment('/tmp') });
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^missing {2}user namespaces: .*No space left on device$/m);
    expect(stdout).toMatch(/\nStacks that work: lwip, kernel, null\.\n$/);
  });

  it('fails where the main job is impossible, and only there', () => {
    expect(healthy([answer({}), missing(false)])).toBe(true);
    expect(healthy([answer({}), missing(true)])).toBe(false);
  });

  it('says of what is missing what works without it and what to do', () => {
    expect(prose([answer({}), missing(false)], false)).toBe(
      'ok       thing: seen\nmissing  thing: not there\n           without it: less works\n           to do: get it\n\n' +
        'Guests can run; 1 of 2 checks found something missing.\n',
    );
    expect(prose([missing(true)], true)).toMatch(
      /^\x1b\[31mmissing\x1b\[0m[^]*\n\nGuests cannot run on this machine as it is\.\n$/,
    );
    expect(prose([answer({})], false)).toMatch(/\n\nGuests can run, and nothing is missing\.\n$/);
  });

  it('takes a probe that throws for a no', async () => {
    const check = { id: 'x', what: 'thing', required: true, without: 'w', remedy: () => 'r' };
    const broken = () => {
      throw new Error('broken\nstack');
    };
    expect(await diagnose([{ ...check, probe: broken }])).toEqual([
      {
        id: 'x',
        what: 'thing',
        required: true,
        state: 'missing',
        detail: 'broken',
        without: 'w',
        remedy: 'r',
      },
    ]);
  });
});

describe('the probes', () => {
  it('compare kernel versions by number', () => {
    expect(kernelAtLeast(5, 19, '5.19.0')).toBe(true);
    expect(kernelAtLeast(5, 19, '5.4.0-rc1')).toBe(false);
    expect(kernelAtLeast(5, 19, '6.1.0-13-amd64')).toBe(true);
    expect(kernelAtLeast(6, 6, 'nonsense')).toBe(false);
  });

  it('name the switches that forbid user namespaces', () => {
    const values: Record<string, string> = {
      'kernel/unprivileged_userns_clone': '0',
      'user/max_user_namespaces': '100',
    };
    expect(usernsRemedies((name) => values[name])).toEqual(['sysctl kernel.unprivileged_userns_clone=1']);
    expect(usernsRemedies((name) => (name.includes('apparmor') ? '1' : undefined))).toEqual([
      'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    ]);
    expect(usernsRemedies(() => undefined)).toEqual([]);
  });

  it('know what Yama allows', () => {
    expect(ptraceScope(undefined, false).ok).toBe(true);
    expect(ptraceScope('1', false).ok).toBe(true);
    expect([ptraceScope('2', false).ok, ptraceScope('2', true).ok]).toEqual([false, true]);
    expect(ptraceScope('3', true).ok).toBe(false);
  });
});
