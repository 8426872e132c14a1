/** Partition tables, also those that lie. */
import { describe, expect, it } from 'vitest';
import { readPartitions, type ReadAt } from '../../../modules/vudev/partitions.ts';

const SECTOR = 512;
const SIZE = 1000 * SECTOR;

/** A disk of SIZE bytes with these sectors. */
function disk(sectors: Record<number, Buffer>): ReadAt {
  return (offset, length) => {
    const out = Buffer.alloc(Math.max(0, Math.min(length, SIZE - offset)));
    for (const [number, bytes] of Object.entries(sectors)) {
      const at = Number(number) * SECTOR - offset;
      if (at >= 0 && at < out.length) bytes.copy(out, at);
    }
    return Promise.resolve(out);
  };
}

/** A table with entries [type, start, length] in sectors. */
function mbr(...entries: [number, number, number][]): Buffer {
  const out = Buffer.alloc(SECTOR);
  out.writeUInt16LE(0xaa55, 510);
  entries.forEach(([type, start, length], i) => {
    out[446 + 16 * i + 4] = type;
    out.writeUInt32LE(start, 446 + 16 * i + 8);
    out.writeUInt32LE(length, 446 + 16 * i + 12);
  });
  return out;
}

const summary = async (sectors: Record<number, Buffer>, size = SIZE): Promise<number[][]> =>
  (await readPartitions(disk(sectors), size)).map(({ number, offset, size: bytes }) => [
    number,
    offset / SECTOR,
    bytes / SECTOR,
  ]);

describe('MBR', () => {
  it('none: an empty disk, one without the mark, one too small', async () => {
    expect(await summary({})).toEqual([]);
    expect(await readPartitions(() => Promise.resolve(Buffer.alloc(3)), 3)).toEqual([]);
  });

  it('primary and logical ones', async () => {
    const sectors = {
      0: mbr([0x83, 10, 20], [0x0f, 100, 300], [0, 0, 0], [0x82, 500, 10]),
      100: mbr([0x83, 5, 50], [0x05, 60, 100]),
      160: mbr([0x83, 6, 40], [0x05, 200, 50]),
      300: mbr([0, 0, 0], [0, 0, 0]),
    };
    expect(await summary(sectors)).toEqual([
      [1, 10, 20],
      [2, 100, 300],
      [4, 500, 10],
      [5, 105, 50],
      [6, 166, 40],
    ]);
  });

  it('partitions end where the disk ends', async () => {
    expect(
      await summary({
        0: mbr([0x83, 900, 500], [0x83, 2000, 5], [0x83, 0, 5], [0x83, 0xffffffff, 0xffffffff]),
      }),
    ).toEqual([[1, 900, 100]]);
  });

  it('a circle of logical ones comes to an end', async () => {
    const sectors = {
      0: mbr([0x05, 100, 300]),
      100: mbr([0x83, 1, 1], [0x05, 50, 1]),
      150: mbr([0x83, 1, 1], [0x05, 50, 1]),
    };
    expect((await summary(sectors)).length).toBeLessThan(200);
  });
});

describe('GPT', () => {
  function gpt(count: number, size: number, table = 2): Buffer {
    const out = Buffer.alloc(SECTOR);
    out.write('EFI PART', 0, 'latin1');
    out.writeBigUInt64LE(BigInt(table), 72);
    out.writeUInt32LE(count, 80);
    out.writeUInt32LE(size, 84);
    return out;
  }
  const entry = (start: number, end: number): Buffer => {
    const out = Buffer.alloc(128, 0);
    out[0] = 1;
    out.writeBigUInt64LE(BigInt(start), 32);
    out.writeBigUInt64LE(BigInt(end), 40);
    return out;
  };
  const table = Buffer.concat([entry(40, 49), Buffer.alloc(128), entry(60, 99), entry(100, 50)]);

  it('numbers are those of the entries', async () => {
    const wanted = [
      [1, 40, 10],
      [3, 60, 40],
    ];
    expect(await summary({ 0: mbr([0xee, 1, 999]), 1: gpt(4, 128), 2: table })).toEqual(wanted);
    expect(await summary({ 0: mbr([0xee, 1, 999]), 999: gpt(4, 128), 2: table })).toEqual(wanted);
  });

  it.each([
    [0xffffffff, 128, 2],
    [4, 0, 2],
    [4, 0xffffffff, 2],
    [4, 128, 0xffffffff],
  ])('a header with %d entries of %d bytes at sector %d', async (count, size, at) => {
    expect(await summary({ 0: mbr([0xee, 1, 999]), 1: gpt(count, size, at) })).toEqual([]);
  });
});

it('nonsense does no harm', async () => {
  let seed = 12345;
  const random = (): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8;
  for (let round = 0; round < 300; round++) {
    const sectors: Record<number, Buffer> = {};
    for (let i = 0; i < 20; i++) {
      const types = [0x83, 0x05, 0x0f, 0xee, 0];
      const entries = [0, 1, 2, 3].map((): [number, number, number] => [
        types[random() % 5]!,
        random() % 1200,
        random() % 1200,
      ]);
      sectors[i < 2 ? i : random() % 1000] = mbr(...entries);
    }
    for (const { offset, size } of await readPartitions(disk(sectors), SIZE)) {
      expect(offset).toBeGreaterThan(0);
      expect(offset + size).toBeLessThanOrEqual(SIZE);
    }
  }
});
