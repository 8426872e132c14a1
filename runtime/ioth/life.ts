/** When stacks end, for what waits on them. */
import { Errno } from '../errno.ts';
import type { Stack } from './stack.ts';

const lives = new WeakMap<object, AbortController>();

/** Ends, with ENETDOWN as its reason, before `stack` is closed. */
export function lifeOf(stack: Pick<Stack, 'close'>): AbortController {
  const known = lives.get(stack);
  if (known !== undefined) return known;
  const life = new AbortController();
  lives.set(stack, life);
  const close = stack.close.bind(stack);
  stack.close = () => {
    life.abort(new Errno('ENETDOWN', 'the stack was closed'));
    return close();
  };
  return life;
}
