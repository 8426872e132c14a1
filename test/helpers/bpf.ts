/** Random classic BPF programs that the kernel takes as seccomp filters. */
import {
  ALU,
  CODE,
  DATA,
  JUMP,
  SCRATCH_WORDS,
  SOURCE_X,
  type Instruction,
} from '../../runtime/seccomp/bpf.ts';

/** A random number below `limit`. */
export type Random = (limit: number) => number;

/** The same numbers for the same seed (a linear congruential generator, of which the high bits are used). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const pick = <T>(random: Random, values: readonly T[]): T => values[random(values.length)]!;
const word = (random: Random): number =>
  pick(random, [random(4), random(256), random(2 ** 32), 2 ** 32 - 1, 2 ** 31]);

/** Offsets of all words but the instruction pointer, which a test cannot foretell. */
const LOADS = [DATA.nr, DATA.arch, ...Array.from({ length: 12 }, (_, index) => DATA.args + 4 * index)];

/** An instruction at a place with `left` instructions after it. */
function randomInstruction(random: Random, left: number): Instruction {
  const plain = { jt: 0, jf: 0, k: 0 };
  const skip = (): number => random(Math.min(left, 6));
  const source = random(2) ? SOURCE_X : 0;
  switch (random(8)) {
    case 0:
      return { ...plain, code: CODE.LD_ABS, k: pick(random, LOADS) };
    case 1:
      return { ...plain, code: pick(random, [CODE.LD_IMM, CODE.LDX_IMM]), k: word(random) };
    case 2:
      return { ...plain, code: pick(random, [CODE.TAX, CODE.TXA, CODE.NEG, CODE.LD_LEN, CODE.LDX_LEN]) };
    case 3:
      return {
        ...plain,
        code: pick(random, [CODE.ST, CODE.STX, CODE.LD_MEM, CODE.LDX_MEM]),
        k: random(SCRATCH_WORDS),
      };
    case 4:
      return { code: pick(random, Object.values(JUMP)) | source, jt: skip(), jf: skip(), k: word(random) };
    case 5:
      return { ...plain, code: CODE.JA, k: skip() };
    default: {
      const code = pick(random, Object.values(ALU));
      if (code === ALU.LSH || code === ALU.RSH) return { ...plain, code: code | source, k: random(32) };
      return { ...plain, code: code | source, k: Math.max(1, word(random)) };
    }
  }
}

/**
 * A program that stores all of its scratch words, computes, and returns an ERRNO of the low bits of what it
 * computed (1 to 1024), so that it harms nobody and its result can be seen.
 */
export function randomProgram(random: Random): Instruction[] {
  const length = 4 + random(40);
  const store = Array.from({ length: SCRATCH_WORDS }, (_, k) => ({ code: CODE.ST, jt: 0, jf: 0, k }));
  const body = Array.from({ length }, (_, index) => randomInstruction(random, length - index));
  const end = [
    { code: ALU.AND, jt: 0, jf: 0, k: 0x3ff },
    { code: ALU.ADD, jt: 0, jf: 0, k: 0x00050001 },
    { code: CODE.RET_A, jt: 0, jf: 0, k: 0 },
  ];
  return [{ code: CODE.LD_ABS, jt: 0, jf: 0, k: DATA.args }, ...store, ...body, ...end];
}
