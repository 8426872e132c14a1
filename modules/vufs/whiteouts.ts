/**
 * Which names of the lower tree are gone. They are kept beside the changes in the folder `.-` of the upper
 * directory: an empty file `.-/PATH` says that the lower tree has nothing at and below PATH any more. What the upper
 * directory has there is seen nevertheless, so a new directory over a removed one starts empty.
 *
 * All of them are in memory too: only one mount at a time uses an upper directory.
 */
import { check, ERRNO, Errno } from '../../runtime/errno.ts';
import { asSelf } from '../../runtime/files/identity.ts';
import { closeFd, type Layer } from '../../runtime/files/layer.ts';
import {
  directoryOf,
  entriesOf,
  inDirectory,
  join,
  nameOf,
  O_DIRECTORY,
  STAT_SIZE,
} from '../../runtime/files/place.ts';
import { native, type TreeMirror } from '../../runtime/native.ts';
import { SYS } from '../../runtime/syscalls/table.ts';

/** The folder of the upper directory for what is not a file of it. */
export const PRIVATE = '.-';
/** Where files and directories are made before they get their names. No name of VUOS's format begins like this. */
const WORK = `${PRIVATE}/\x7fwork`;
/** Copies of files that have several names in the lower tree, by what they were there. */
const LINKS = `${PRIVATE}/\x7flinks`;

const O_CREAT = 0o100;
const O_WRONLY = 1;
const LOCK_EX_NB = 6;
const RENAME_EXCHANGE = 2;
const AT_REMOVEDIR = 0x200;
const DT_DIR = 4;
/** Offset of st_mtim in struct stat; st_ctim follows. */
const MTIME = 88;
const scratch = Buffer.alloc(STAT_SIZE);

export class Whiteouts {
  readonly #layer: Layer;
  readonly #paths = new Set<string>();
  /** By directory. */
  readonly #names = new Map<string, Set<string>>();
  readonly #links = new Set<string>();
  readonly #mirror: TreeMirror | undefined;
  #lock = -1;
  #serial = 0;

  /** Reads what is kept in the upper directory `layer`; `mirror` is told all of it. EBUSY while another mount uses it. */
  constructor(layer: Layer, readOnly: boolean, mirror?: TreeMirror) {
    this.#layer = layer;
    this.#mirror = mirror;
    if (readOnly && native().look(layer.fd, PRIVATE, scratch) < 0) return;
    // Whoever may read a file with several names gets to its copy, whichever name he knows.
    for (const path of [PRIVATE, LINKS]) this.#makeDirectory(path, 0o711);
    this.#makeDirectory(WORK);
    this.#lock = check(native().openBeneath(layer.fd, PRIVATE, O_DIRECTORY, 0));
    if (native().syscall(SYS.flock, this.#lock, LOCK_EX_NB) < 0) {
      this.close();
      throw new Errno('EBUSY', 'the directory takes the changes of another mount');
    }
    for (const [name] of entriesOf({ layer, path: WORK })) removeAll(layer, join(WORK, name));
    for (const [name] of entriesOf({ layer, path: LINKS })) this.#addLink(name);
    this.#load('');
  }

  close(): void {
    if (this.#lock >= 0) closeFd(this.#lock);
    this.#lock = -1;
  }

  /** True for the folder that is no part of the tree. */
  static owns(path: string): boolean {
    return path.startsWith(PRIVATE) && (path[PRIVATE.length] ?? '/') === '/';
  }

  /** Whether the lower tree is not to be seen at `path`. */
  hides(path: string): boolean {
    if (this.#paths.size === 0) return false;
    if (this.#paths.has(path)) return true;
    for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) {
      if (this.#paths.has(path.slice(0, end))) return true;
    }
    return false;
  }

  /** Names in a directory that are gone from the lower tree. */
  namesIn(directory: string): ReadonlySet<string> | undefined {
    return this.#names.get(directory);
  }

  /** From now on nothing of the lower tree is seen at and below `path`. */
  add(path: string): void {
    if (this.hides(path)) return;
    asSelf(() => this.#write(path));
    for (const known of this.#paths) if (known.startsWith(`${path}/`)) this.#forget(known);
    this.#remember(path);
  }

  /** Gives `stat` of a directory of the lower tree the time at which a name in it was last removed. */
  showChange(directory: string, stat: Buffer): void {
    const kept = directory === '' ? PRIVATE : join(PRIVATE, directory);
    if (asSelf(() => native().look(this.#layer.fd, kept, scratch)) < 0) return;
    if (scratch.readBigInt64LE(MTIME) >= stat.readBigInt64LE(MTIME))
      scratch.copy(stat, MTIME, MTIME, MTIME + 32);
  }

  /** A new name in the folder for unfinished things. */
  workName(): string {
    return `${WORK}/${process.pid}.${++this.#serial}`;
  }

  /** The path of the copy of a file with several names; undefined when it was not copied. */
  copyOf(key: string): string | undefined {
    return this.#links.has(key) ? `${LINKS}/${key}` : undefined;
  }

  /** Makes the file at `path` of the upper directory the copy of the file `key`. */
  addCopy(key: string, path: string): void {
    inDirectory({ layer: this.#layer, path }, (fromDir, from) =>
      inDirectory({ layer: this.#layer, path: `${LINKS}/${key}` }, (toDir, to) =>
        check(native().syscall(SYS.linkat, fromDir, from, toDir, to, 0)),
      ),
    );
    this.#addLink(key);
  }

  #addLink(key: string): void {
    this.#links.add(key);
    this.#mirror?.hasCopiedLinks();
  }

  #write(path: string): void {
    const place = join(PRIVATE, path);
    let fd = native().openBeneath(this.#layer.fd, place, O_CREAT | O_WRONLY, 0o600);
    if (fd === -ERRNO['ENOENT']!) {
      this.#makeDirectories(directoryOf(place));
      fd = native().openBeneath(this.#layer.fd, place, O_CREAT | O_WRONLY, 0o600);
    }
    if (fd !== -ERRNO['EISDIR']!) return closeFd(check(fd));
    // Names below were gone already. They are exchanged at once for the one that says so of all.
    const file = this.workName();
    closeFd(check(native().openBeneath(this.#layer.fd, file, O_CREAT | O_WRONLY, 0o600)));
    inDirectory({ layer: this.#layer, path: file }, (fromDir, from) =>
      inDirectory({ layer: this.#layer, path: place }, (toDir, to) =>
        check(native().syscall(SYS.renameat2, fromDir, from, toDir, to, RENAME_EXCHANGE)),
      ),
    );
    removeAll(this.#layer, file);
  }

  #makeDirectories(path: string): void {
    if (native().look(this.#layer.fd, path, scratch) >= 0) return;
    this.#makeDirectories(directoryOf(path));
    this.#makeDirectory(path);
  }

  #makeDirectory(path: string, mode = 0o700): void {
    inDirectory({ layer: this.#layer, path }, (fd, name) => {
      const result = native().syscall(SYS.mkdirat, fd, name, mode);
      if (result !== -ERRNO['EEXIST']!) check(result);
    });
  }

  #load(directory: string): void {
    for (const [name, type] of entriesOf({
      layer: this.#layer,
      path: directory === '' ? PRIVATE : join(PRIVATE, directory),
    })) {
      // Texts of attributes in VUOS's format end with DEL.
      if (name.startsWith('\x7f') || name.endsWith('\x7f')) continue;
      if (type === DT_DIR) this.#load(join(directory, name));
      else this.#remember(join(directory, name));
    }
  }

  #remember(path: string): void {
    this.#paths.add(path);
    this.#mirror?.hide(path);
    const directory = directoryOf(path);
    const names = this.#names.get(directory) ?? new Set();
    this.#names.set(directory, names.add(nameOf(path)));
  }

  #forget(path: string): void {
    this.#paths.delete(path);
    this.#mirror?.show(path);
    const names = this.#names.get(directoryOf(path));
    names?.delete(nameOf(path));
    if (names?.size === 0) this.#names.delete(directoryOf(path));
  }
}

/** rm -r */
export function removeAll(layer: Layer, path: string): void {
  inDirectory({ layer, path }, (fd, name) => {
    const result = native().syscall(SYS.unlinkat, fd, name, 0);
    if (result !== -ERRNO['EISDIR']! && result !== -ERRNO['EPERM']!) return void check(result);
    for (const [below] of entriesOf({ layer, path })) removeAll(layer, join(path, below));
    check(native().syscall(SYS.unlinkat, fd, name, AT_REMOVEDIR));
  });
}
