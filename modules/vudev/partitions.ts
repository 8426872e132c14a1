/** Partition tables of disks: MBR with logical partitions, and GPT (UEFI specification, chapter 5). */

/** Reads `length` bytes at `offset`; fewer at the end of the disk. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

export interface Partition {
  /** From 1; logical ones from 5. */
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly offset: number;
  readonly size: number;
}

const SECTOR = 512;
const MARK = 0xaa55;
const TABLE = 446;
const ENTRY = 16;
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;
const FIRST_LOGICAL = 5;
/** Logical partitions that are looked for; a chain that is longer, or a circle, ends here. */
const MOST_LOGICAL = 128;
const GPT_SIGNATURE = 'EFI PART';
const GPT_ENTRY_MIN = 128;
const MOST_GPT_ENTRIES = 1024;

/** An entry of a table of an MBR, in sectors. */
interface Entry {
  readonly type: number;
  readonly start: number;
  readonly length: number;
}

function entriesOf(sector: Buffer): Entry[] | undefined {
  if (sector.length < SECTOR || sector.readUInt16LE(510) !== MARK) return undefined;
  return [0, 1, 2, 3].map((i) => {
    const at = TABLE + i * ENTRY;
    return {
      type: sector[at + 4]!,
      start: sector.readUInt32LE(at + 8),
      length: sector.readUInt32LE(at + 12),
    };
  });
}

/** As far as a partition lies on the disk. */
function partition(number: number, start: number, length: number, diskSize: number): Partition[] {
  const offset = start * SECTOR;
  const size = Math.min(length * SECTOR, diskSize - offset);
  return start > 0 && size > 0 ? [{ number, offset, size }] : [];
}

/** The partitions of a disk of `diskSize` bytes; none where there is no table. */
export async function readPartitions(readAt: ReadAt, diskSize: number): Promise<Partition[]> {
  const entries = entriesOf(await readAt(0, SECTOR));
  if (!entries) return [];
  if (entries.some(({ type }) => type === PROTECTIVE)) return readGpt(readAt, diskSize);
  const found: Partition[] = [];
  for (const [i, { type, start, length }] of entries.entries()) {
    if (type === 0) continue;
    found.push(...partition(i + 1, start, length, diskSize));
    if (EXTENDED.has(type)) found.push(...(await readLogical(readAt, start, diskSize)));
  }
  return found.sort((a, b) => a.number - b.number);
}

/** Each logical partition has a table of its own, with itself (from that table) and the next table (from the first). */
async function readLogical(readAt: ReadAt, first: number, diskSize: number): Promise<Partition[]> {
  const found: Partition[] = [];
  let number = FIRST_LOGICAL;
  for (let table = first, steps = 0; steps < MOST_LOGICAL; steps++) {
    const entries = entriesOf(await readAt(table * SECTOR, SECTOR));
    if (!entries) break;
    const [data, next] = entries as [Entry, Entry];
    if (data.type !== 0 && data.length > 0)
      found.push(...partition(number++, table + data.start, data.length, diskSize));
    if (!EXTENDED.has(next.type) || next.start === 0) break;
    table = first + next.start;
  }
  return found;
}

/** The first header that is good: that at the start, or the copy in the last sector. */
async function readGpt(readAt: ReadAt, diskSize: number): Promise<Partition[]> {
  for (const at of [SECTOR, (Math.floor(diskSize / SECTOR) - 1) * SECTOR]) {
    const header = await readAt(at, SECTOR);
    if (header.length < SECTOR || header.toString('latin1', 0, 8) !== GPT_SIGNATURE) continue;
    const table = Number(header.readBigUInt64LE(72)) * SECTOR;
    const [count, size] = [header.readUInt32LE(80), header.readUInt32LE(84)];
    if (size < GPT_ENTRY_MIN || size > SECTOR * 8 || count > MOST_GPT_ENTRIES || table >= diskSize) continue;
    const entries = await readAt(table, count * size);
    const found: Partition[] = [];
    for (let i = 0; (i + 1) * size <= entries.length; i++) {
      const entry = entries.subarray(i * size, (i + 1) * size);
      if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
      const [start, end] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
      found.push(...partition(i + 1, start, end - start + 1, diskSize));
    }
    return found;
  }
  return [];
}
