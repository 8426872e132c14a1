/**
 * Options of a vunetioth mount: the networks of the stack, in the order of its interfaces, and words of an IoTh
 * configuration (IOTH-FACTS §1.8 and §2.2).
 *
 *     -o vxvde://234.0.0.1                      one interface, vde0
 *     -o lan:vde:///run/switch,hub://           two, lan and vde1
 *     -o if=/run/switch,eth,ip=10.0.0.1/24      configured at once
 */
import { parseWords, type Word } from '../../runtime/ioth/config/words.ts';

/** Undoes what parseWords did to a VNL with `=` in it (`vde:///tmp/a[port=1]`). */
const whole = ({ tag, value }: Word): string => (value === undefined ? tag : `${tag}=${value}`);

/** The VNL that a word is, if it is one: anything with a scheme or an absolute path, or what `if=` names. */
function vnlOf(word: Word): string | undefined {
  const { tag, value } = word;
  if (tag === 'if' || tag === 'vnl') return value ?? '';
  return tag.includes('://') || tag.includes('/') ? whole(word) : undefined;
}

/**
 * The words for newStackFromConfig that mounting `source` with `-o data` means, each with its place in `data`. Without a
 * source (`--net`) `stack=` says what it is, and a stack with networks but no name is a vdestack.
 */
export function configOf(source: string, data: string): Word[] {
  const words = parseWords(data).map((word) => {
    const vnl = vnlOf(word);
    return vnl === undefined ? word : { ...word, tag: 'vnl', value: vnl };
  });
  const has = (tag: string): boolean => words.some((word) => word.tag === tag);
  const stack = source || (has('stack') ? '' : has('vnl') ? 'vdestack' : 'kernel');
  return stack ? [{ tag: 'stack', value: stack, position: 0 }, ...words] : words;
}
