/** Options of virtual network locators (IOTH-FACTS §11.3), and what is said about those that are wrong. */
import { Errno } from '../errno.ts';

/** A locator, or an option of it, that cannot be understood. `word` is the offending part. */
export class VnlError extends Errno {
  readonly word: string;
  constructor(word: string, why: string) {
    super('EINVAL', `«${word}»: ${why}`);
    this.name = 'VnlError';
    this.word = word;
  }
}

/** Splits `PATH[OPTIONS]`. */
export function splitBracket(text: string): { path: string; options: string } {
  const path = splitQuoted(text, '[')[0] ?? '';
  if (path === text) return { path, options: '' };
  if (!text.endsWith(']')) throw new VnlError(text.slice(path.length), 'the bracket is not closed');
  return { path, options: text.slice(path.length + 1, -1) };
}

/** Reads `tag=value/tag=value`; tags may be cut short, as libvdeplug has them (IOTH-FACTS §11.3). */
export function parseOptions(text: string, tags: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const item of splitQuoted(text, '/')) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    const typed = equals < 0 ? item : item.slice(0, equals);
    const tag = typed === '' ? undefined : tags.find((name) => name.startsWith(typed));
    if (tag === undefined) throw new VnlError(typed || item, `unknown option (known: ${tags.join(', ')})`);
    if (equals < 0) throw new VnlError(typed, `the option needs a value (${tag}=…)`);
    values.set(tag, unquote(item.slice(equals + 1)));
  }
  return values;
}

/** Splits at `separator` where it is not quoted; the quotes stay. */
export function splitQuoted(text: string, separator: string): string[] {
  const parts = [''];
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (quote === '' && char === separator) {
      parts.push('');
      continue;
    }
    let piece = char;
    if (char === '\\' && quote !== "'") piece += text.charAt(++i);
    else if (char === quote) quote = '';
    else if (quote === '' && (char === "'" || char === '"')) quote = char;
    parts[parts.length - 1] += piece;
  }
  if (quote !== '') throw new VnlError(text, 'a quote is not closed');
  return parts;
}

/** Takes away quotes and backslashes and decodes %XX. */
export function unquote(text: string): string {
  let out = '';
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    const hex = /^%([0-9a-fA-F]{2})/.exec(text.slice(i, i + 3))?.[1];
    if (char === '\\' && quote !== "'") out += text.charAt(++i);
    else if (char === quote) quote = '';
    else if (quote === '' && (char === "'" || char === '"')) quote = char;
    else if (hex !== undefined) {
      out += String.fromCharCode(parseInt(hex, 16));
      i += 2;
    } else out += char;
  }
  if (quote !== '') throw new VnlError(text, 'a quote is not closed');
  if (out.includes('\0')) throw new VnlError(text, 'a NUL is not allowed');
  return out;
}

/** A mode of files in octal digits, the value of option `tag`. */
export function octal(tag: string, text: string): number {
  const value = /^[0-7]{1,5}$/.test(text) ? parseInt(text, 8) : -1;
  if (value < 0 || value > 0o7777) throw new VnlError(text, `${tag} takes an octal mode`);
  return value;
}

/** A number from `least` to `most`, the value of option `tag`. */
export function number(tag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (value < least || value > most)
    throw new VnlError(text, `${tag} takes a number from ${least} to ${most}`);
  return value;
}
