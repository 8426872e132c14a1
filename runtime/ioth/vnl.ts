/**
 * Virtual network locators: the names of VDE networks (IOTH-FACTS §11.2 to §11.4). Locators of the schemes that are built in are taken
 * apart completely; all others belong to libvdeplug and are passed on as they are.
 *
 * Texts are byte strings: they come from guests and hold paths.
 */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { Errno } from '../errno.ts';
import type { LinkConditions } from '../native.ts';
import { LINK_TAGS, parseLink } from './link.ts';
import { VnlError, number, octal, parseOptions, splitBracket, splitQuoted, unquote } from './vnl-options.ts';

export { VnlError } from './vnl-options.ts';

/** A sink: a network without anybody. */
export interface NullVnl {
  scheme: 'null';
  text: string;
}

/** A network of our own, served in directory `path`; without a path it is private to this VM. */
export interface ServerVnl {
  scheme: 'hub' | 'switch';
  text: string;
  /** Absolute. */
  path?: string;
  /** Permissions of the sockets and of the directory. */
  mode: number;
  dirMode: number;
  /** Name or number of the group that owns them. */
  group?: string;
  /** Entries of the table of addresses (switch). */
  hashSize: number;
  /** Seconds for which an address is remembered (switch). */
  expireSeconds: number;
  /** What happens to frames on their way; without it, nothing. */
  link?: LinkConditions;
}

/** A client of the network that is served in directory `path`. */
export interface ClientVnl {
  scheme: 'vde';
  text: string;
  /** Absolute. Where there are several, the first that exists is meant. */
  paths: string[];
  /** Port of the switch; 0 means any. */
  port: number;
}

/** A locator of libvdeplug. */
export interface PlugVnl {
  scheme: 'plug';
  text: string;
  /** The scheme in the text. */
  module: string;
}

export type Vnl = NullVnl | ServerVnl | ClientVnl | PlugVnl;

/** Where a locator is looked up. */
export interface VnlContext {
  /** Directory that relative paths start from. */
  cwd: string;
  home: string;
}

const MAX_TEXT = 4096;
/** A file may hold the name of another file; more than this is a loop. */
const MAX_FILES = 8;
const DEFAULT_SWITCHES = ['/var/run/vde.ctl', '/tmp/vde.ctl'];
/** No slashes: libvdeplug makes the name of a shared object of it. */
const MODULE = /^[A-Za-z][A-Za-z0-9_-]*$/;

const TAGS = {
  vde: ['port', 'portgroup', 'group', 'mode'],
  hub: ['mode', 'dirmode', 'grp', ...LINK_TAGS],
  switch: ['mode', 'dirmode', 'grp', 'hashsize', 'hashseed', 'expiretime', ...LINK_TAGS],
} as const;

/** Splits `eth0:vde:///path` into the name of the interface and the locator (IOTH-FACTS §1.3). */
export function splitInterface(text: string): { name?: string; vnl: string } {
  const colon = text.indexOf(':');
  if (colon < 0 || colon === text.indexOf('://') || text.slice(0, colon).includes('/')) return { vnl: text };
  const name = text.slice(0, colon);
  // Rules of the kernel (dev_valid_name) and room for the final NUL in IFNAMSIZ.
  if (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..') {
    throw new VnlError(name, 'not a name for an interface (1 to 15 characters)');
  }
  return { name, vnl: text.slice(colon + 1) };
}

/** Reads a locator. Throws VnlError. */
export function parseVnl(text: string, context: Partial<VnlContext> = {}): Vnl {
  return parse(text.trim(), { cwd: context.cwd ?? process.cwd(), home: context.home ?? homedir() }, 0);
}

function parse(text: string, context: VnlContext, files: number): Vnl {
  if (text.length > MAX_TEXT) throw new VnlError(`${text.slice(0, 32)}…`, 'too long for a network locator');
  const bad = /[\0\n]/.exec(text);
  if (bad) throw new VnlError(JSON.stringify(bad[0]), 'not allowed in a network locator');
  const at = text.indexOf('://');
  if (at < 0) return parsePlain(text, context, files);
  const module = text.slice(0, at);
  const rest = text.slice(at + 3);
  switch (module) {
    case 'null':
      if (rest !== '') throw new VnlError(rest, 'null:// takes no arguments');
      return { scheme: 'null', text };
    case 'hub':
    case 'switch':
      return parseServer(module, text, rest, context);
    case 'vde':
      return parseClient(text, rest, context);
    default:
      if (!MODULE.test(module)) throw new VnlError(module, 'not a scheme of a network locator');
      return { scheme: 'plug', text, module };
  }
}

/** A locator without a scheme: nothing, a file that holds a locator, or the directory of a switch. */
function parsePlain(text: string, context: VnlContext, files: number): Vnl {
  if (text === '') {
    const candidates = ['.vdeplug/default', '.vde2/default.switch'].map((name) => `${context.home}/${name}`);
    const found = candidates.find((path) => stat(path) !== undefined);
    return found === undefined ? parseClient('vde://', '', context) : parse(found, context, files + 1);
  }
  const path = resolvePath(unquote(splitBracket(text).path), context);
  if (!stat(path)?.isFile()) return parseClient(`vde://${text}`, text, context);
  if (files >= MAX_FILES) throw new VnlError(text, 'files that name each other');
  return parse(firstLine(path), context, files + 1);
}

function firstLine(path: string): string {
  try {
    return (readFileSync(Buffer.from(path, 'latin1'), 'latin1').split('\n', 1)[0] ?? '').trim();
  } catch (error) {
    throw new Errno((error as NodeJS.ErrnoException).errno ?? 'EIO', `${path}: ${(error as Error).message}`);
  }
}

const stat = (path: string) => statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false });
const resolvePath = (path: string, context: VnlContext): string => resolve(context.cwd, path);

function parseServer(scheme: 'hub' | 'switch', text: string, rest: string, context: VnlContext): ServerVnl {
  const { path, options } = splitBracket(rest);
  const values = parseOptions(options, TAGS[scheme]);
  const given = values.get('mode');
  const mode = given === undefined ? undefined : octal('mode', given);
  const dirmode = values.get('dirmode');
  const group = values.get('grp');
  const link = parseLink(values, (word, why) => new VnlError(word, why));
  number('hashseed', values.get('hashseed') ?? '0', 0, 0xffffffff);
  return {
    scheme,
    text,
    ...(path === '' ? {} : { path: resolvePath(unquote(path), context) }),
    mode: mode === undefined ? 0o600 : mode & 0o666,
    dirMode: dirmode === undefined ? directoryMode(mode) : octal('dirmode', dirmode),
    ...(group === undefined ? {} : { group }),
    ...(link === undefined ? {} : { link }),
    hashSize: number('hashsize', values.get('hashsize') ?? '256', 1, 1 << 20),
    expireSeconds: number('expiretime', values.get('expiretime') ?? '120', 1, 0x7fffffff),
  };
}

/** Who may connect to the sockets must be able to pass the directory, and clients make sockets in it. */
function directoryMode(mode: number | undefined): number {
  return mode === undefined ? 0o2700 : 0o2000 | mode | ((mode & 0o444) >> 2) | ((mode & 0o222) >> 1);
}

function parseClient(text: string, rest: string, context: VnlContext): ClientVnl {
  const { path, options } = splitBracket(rest);
  const [first = '', ...more] = splitQuoted(options, '/');
  // «[5]» is short for «[port=5]».
  const short = /^\d+$/.test(first);
  const values = parseOptions(short ? more.join('/') : options, TAGS.vde);
  const port = number('port', short ? first : (values.get('port') ?? '0'), 0, 0xffffff);
  const mode = values.get('mode');
  if (mode !== undefined) octal('mode', mode);
  const paths = path === '' ? DEFAULT_SWITCHES : [resolvePath(unquote(path), context)];
  return { scheme: 'vde', text, paths, port };
}
