/**
 * The words of an IoTh configuration string (IOTH-FACTS §2.2): `tag` or `tag=value`, separated by blanks, commas,
 * semicolons or newlines. Quotes and backslashes take the meaning from separators, and so does a pair of braces,
 * because a VNL may hold another one: `vnl=vlan://7{vde:///tmp/a,b}`. `#` starts a comment up to the end of its line.
 */
import { Errno } from '../../errno.ts';

/** One word; `position` counts from 1, in characters. 0: it was not in the text. */
export interface Word {
  tag: string;
  /** Undefined where there is no `=`. */
  value: string | undefined;
  position: number;
}

const SEPARATORS = new Set([' ', '\t', ',', ';', '\n', '\r']);

/** EINVAL for `word`, with what is wrong about it. */
export function badWord({ tag, value, position }: Word, what: string): Errno {
  const text = value === undefined ? tag : `${tag}=${value}`;
  return new Errno('EINVAL', `«${text}» (character ${position} of the configuration): ${what}`);
}

/** State of the lexer: what of the current word was read. */
class Lexer {
  readonly words: Word[] = [];
  readonly #text: string;
  #at = 0;
  #start = -1;
  #tag: string | undefined;
  #part = '';
  #depth = 0;
  /** Where the first open brace is. */
  #opened = 0;

  constructor(text: string) {
    this.#text = text;
  }

  run(): Word[] {
    while (this.#at < this.#text.length) this.#step();
    if (this.#depth > 0) throw this.#unfinished('{', this.#opened);
    this.#endWord();
    return this.words;
  }

  #step(): void {
    const char = this.#text.charAt(this.#at);
    if (this.#depth === 0 && SEPARATORS.has(char)) {
      this.#endWord();
      this.#at++;
    } else if (char === '#' && this.#depth === 0) {
      this.#endWord();
      const end = this.#text.indexOf('\n', this.#at);
      this.#at = end < 0 ? this.#text.length : end;
    } else if (char === "'" || char === '"') {
      this.#quoted(char);
    } else if (char === '\\') {
      if (this.#at + 1 >= this.#text.length) throw this.#unfinished('\\', this.#at);
      this.#put(this.#text.charAt(this.#at + 1), 2);
    } else if (char === '=' && this.#tag === undefined && this.#start >= 0) {
      this.#tag = this.#part;
      this.#part = '';
      this.#at++;
    } else {
      if (char === '{' && this.#depth++ === 0) this.#opened = this.#at;
      if (char === '}' && this.#depth > 0) this.#depth--;
      this.#put(char, 1);
    }
  }

  #quoted(quote: string): void {
    const end = this.#text.indexOf(quote, this.#at + 1);
    if (end < 0) throw this.#unfinished(quote, this.#at);
    this.#put(this.#text.slice(this.#at + 1, end), end + 1 - this.#at);
  }

  #put(text: string, length: number): void {
    if (this.#start < 0) this.#start = this.#at;
    this.#part += text;
    this.#at += length;
  }

  #endWord(): void {
    if (this.#start >= 0) {
      const [tag, value] = this.#tag === undefined ? [this.#part, undefined] : [this.#tag, this.#part];
      this.words.push({ tag, value, position: this.#start + 1 });
    }
    this.#start = -1;
    this.#tag = undefined;
    this.#part = '';
  }

  /** EINVAL for what begins at `at` with `char`. */
  #unfinished(char: string, at: number): Errno {
    const word = this.#text.slice(this.#start < 0 ? at : this.#start);
    return new Errno(
      'EINVAL',
      `«${word}» (character ${at + 1} of the configuration): ${char} without its end`,
    );
  }
}

/** Splits `text` into words. EINVAL where a quote or brace is not closed. */
export const parseWords = (text: string): Word[] => new Lexer(text).run();
