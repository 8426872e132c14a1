/**
 * Options of a vunetioth mount: the networks of the stack, in the order of its interfaces, and words of an IoTh
 * configuration (IOTH-FACTS §1.8 and §2.2).
 *
 *     -o vxvde://234.0.0.1                      one interface, vde0
 *     -o lan:vde:///run/switch,hub://           two, lan and vde1
 *     -o if=/run/switch,eth,ip=10.0.0.1/24      configured at once
 */
import { parseWords, type Word } from '../../runtime/ioth/config/words.ts';

const quote = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;

/** Undoes what parseWords did to a VNL with `=` in it (`vde:///tmp/a[port=1]`). */
const whole = ({ tag, value }: Word): string => (value === undefined ? tag : `${tag}=${value}`);

/** The VNL that a word is, if it is one: anything with a scheme or an absolute path, or what `if=` names. */
function vnlOf(word: Word): string | undefined {
  const { tag, value } = word;
  if (tag === 'if' || tag === 'vnl') return value ?? '';
  return tag.includes('://') || tag.includes('/') ? whole(word) : undefined;
}

/**
 * The configuration string for newStackFromConfig that mounting `source` with `-o data` means. Without a source
 * (`--net`) `stack=` says what it is, and a stack with networks but no name is a vdestack.
 */
export function configOf(source: string, data: string): string {
  const words = parseWords(data);
  const vnls = words.map(vnlOf).filter((vnl) => vnl !== undefined);
  const others = words.filter((word) => vnlOf(word) === undefined);
  const named = others.some(({ tag }) => tag === 'stack');
  const stack = source || (named ? '' : vnls.length > 0 ? 'vdestack' : 'kernel');
  return [
    ...(stack ? [`stack=${quote(stack)}`] : []),
    ...vnls.map((vnl) => `vnl=${quote(vnl)}`),
    ...others.map(({ tag, value }) => (value === undefined ? tag : `${tag}=${quote(value)}`)),
  ].join(',');
}
