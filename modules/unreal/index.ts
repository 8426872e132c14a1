/**
 * unreal: the identity module. Under the target everything is as under `/`, and under the target in the target again:
 * `/unreal/etc/passwd` and `/unreal/unreal/etc/passwd` are /etc/passwd. It is mounted on /unreal when it is inserted,
 * and elsewhere with `vumount -t unreal none TARGET`. It shows whether a call behaves the same through a mount.
 */
import { BindTree } from '../../runtime/files/bind.ts';
import { openLayer } from '../../runtime/files/layer.ts';
import { watchedIn } from '../../runtime/files/subtree.ts';
import { treeUsers } from '../../runtime/files/users.ts';
import { defineModule } from '../../runtime/modules/define.ts';
import type { DirectoryEntry, FileTree, Mount, Place } from '../../runtime/vm/mounts.ts';
import type { Vm } from '../../runtime/vm/vm.ts';

/** A tree that contains itself at `name`. */
class Nested implements FileTree {
  readonly #tree: FileTree;
  readonly #name: string;
  readonly layers: FileTree['layers'];
  readonly readOnly = false;

  constructor(tree: FileTree, name: string) {
    this.#tree = tree;
    this.#name = name;
    this.layers = tree.layers;
  }

  #outer(path: string): string {
    let rest = path;
    while (rest.startsWith(this.#name) && (rest[this.#name.length] ?? '/') === '/')
      rest = rest.slice(this.#name.length + 1);
    return rest;
  }

  find(path: string, stat: Buffer): Place | number {
    return this.#tree.find(this.#outer(path), stat);
  }
  change<T>(path: string, act: (place: Place) => T, truncate?: boolean): T {
    return this.#tree.change(this.#outer(path), act, truncate);
  }
  create<T>(path: string, act: (place: Place) => T): T {
    return this.#tree.create(this.#outer(path), act);
  }
  remove(path: string, directory: boolean): void {
    this.#tree.remove(this.#outer(path), directory);
  }
  rename(from: string, to: string, flags: number): void {
    this.#tree.rename(this.#outer(from), this.#outer(to), flags);
  }
  link(from: string, to: string): void {
    this.#tree.link(this.#outer(from), this.#outer(to));
  }
  watch(path: string): Place {
    return watchedIn(this.#tree, this.#outer(path));
  }
  list(): DirectoryEntry[] | undefined {
    return undefined;
  }
}

function unreal(vm: Vm, target: string, options: string): Mount {
  const layer = openLayer(vm.mounter, '/', false);
  return {
    type: 'unreal',
    source: 'none',
    target,
    options,
    tree: new Nested(new BindTree(layer, false), target.slice(1)),
    busy: () => treeUsers(vm, [layer]),
    unmount: () => layer.close(),
  };
}

export default defineModule({
  name: 'unreal',
  summary: 'everything once more under /unreal',
  syscalls: ['%tree'],
  create({ vm }) {
    const mount = unreal(vm, '/unreal', '');
    vm.rootView.mount(mount);
    return {
      mount: ({ target, data }) => unreal(vm, target, data),
      close() {
        vm.rootView.unmount(mount);
        return mount.unmount();
      },
    };
  },
});
