import type { Call } from '../vm/call.ts';
import type { Answer } from './outcome.ts';

/** Says what a trapped call means; see outcome.ts for the possible answers. */
export type Handler = (call: Call) => Answer;
