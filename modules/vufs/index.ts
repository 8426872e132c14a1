/**
 * vufs: mounts of parts of the file tree, alone, merged, or as a layer that takes all changes (docs/vufs.md).
 *
 *     vumount -t vufs SOURCE TARGET              SOURCE is seen at TARGET
 *     vumount -t vufs -o merge SOURCE TARGET     SOURCE over what is at TARGET
 *     vumount -t vufs -o cow SOURCE TARGET       what is at TARGET; changes go to SOURCE
 */
import { Errno } from '../../runtime/errno.ts';
import { BindTree } from '../../runtime/files/bind.ts';
import { isDirectory, STAT_SIZE } from '../../runtime/files/place.ts';
import { openLayer, type Layer } from '../../runtime/files/layer.ts';
import { SubTree } from '../../runtime/files/subtree.ts';
import { treeUsers } from '../../runtime/files/users.ts';
import { defineModule, type MountRequest } from '../../runtime/modules/define.ts';
import { requireOwner } from '../../runtime/vm/access.ts';
import type { FileTree, Mount } from '../../runtime/vm/mounts.ts';
import { below } from '../../runtime/vm/mounts.ts';
import type { View } from '../../runtime/vm/view.ts';
import type { Vm } from '../../runtime/vm/vm.ts';
import { sourceIn, type Source } from '../../runtime/files/source.ts';
import { CowTree } from './cow.ts';
import { Except } from './except.ts';
import { MergeTree } from './merge.ts';
import { parseOptions } from './options.ts';

/** A tree for `source`; a layer of its own where that is a real directory or file. */
function treeOf(vm: Vm, source: Source, readOnly: boolean, layers: Layer[]): FileTree {
  if (source.tree) return new SubTree(source.tree, source.path, readOnly);
  const layer = openLayer(vm.mounter, source.path, readOnly);
  layers.push(layer);
  return new BindTree(layer, readOnly);
}

function kindOf(tree: FileTree, what: string): 'directory' | 'file' {
  const stat = Buffer.alloc(STAT_SIZE);
  const place = tree.find('', stat);
  if (typeof place === 'number') throw new Errno(place, what);
  return isDirectory(stat) ? 'directory' : 'file';
}

/** A real directory that is to take changes. */
function upperLayer(vm: Vm, source: Source, layers: Layer[]): Layer {
  const real = source.tree ? source.tree.find(source.path, Buffer.alloc(STAT_SIZE)) : undefined;
  if (typeof real === 'number') throw new Errno(real, 'SOURCE');
  const path = real ? `${real.layer.source}/${real.path}` : source.path;
  const layer = openLayer(vm.mounter, path, false);
  layers.push(layer);
  if (kindOf(new BindTree(layer, false), path) !== 'directory')
    throw new Errno('ENOTDIR', `${path} is no directory`);
  return layer;
}

function build(
  vm: Vm,
  view: View,
  request: MountRequest,
  layers: Layer[],
): { tree: FileTree; close(): void } {
  const { mode, readOnly, except } = parseOptions(request);
  const source = sourceIn(view, request.source, request.process);
  const nothing = (): void => undefined;
  const exempt = (tree: FileTree): FileTree => (except.length > 0 ? new Except(tree, except) : tree);
  if (mode === 'bind') {
    const tree = treeOf(vm, source, readOnly, layers);
    kindOf(tree, request.source);
    return { tree: exempt(tree), close: nothing };
  }
  const lower = treeOf(
    vm,
    sourceIn(view, request.target, request.process),
    mode === 'cow' || readOnly,
    layers,
  );
  if (kindOf(lower, request.target) !== 'directory')
    throw new Errno('ENOTDIR', `${request.target} is no directory`);
  if (mode === 'merge') {
    const upper = treeOf(vm, source, true, layers);
    if (kindOf(upper, request.source) !== 'directory')
      throw new Errno('ENOTDIR', `${request.source} is no directory`);
    return { tree: exempt(new MergeTree(upper, lower, readOnly)), close: nothing };
  }
  const tree = new CowTree(upperLayer(vm, source, layers), lower, { readOnly, minimal: mode === 'mincow' });
  return { tree: exempt(tree), close: () => tree.close() };
}

function mount(vm: Vm, request: MountRequest): Mount {
  const view = request.process?.view ?? vm.rootView;
  if (request.process) requireOwner(request.process, vm.uid);
  const layers: Layer[] = [];
  const shut = (): void => layers.forEach((layer) => layer.close());
  let made: { tree: FileTree; close(): void };
  try {
    made = build(vm, view, request, layers);
  } catch (error) {
    shut();
    throw error;
  }
  return {
    type: request.type,
    source: request.source,
    target: request.target,
    options: request.data,
    tree: withLayers(made.tree, layers),
    busy: () => treeUsers(vm, layers),
    unmount() {
      made.close();
      shut();
    },
  };
}

/** The tree, known by exactly the layers that this mount has made. */
function withLayers(tree: FileTree, layers: readonly Layer[]): FileTree {
  Object.defineProperty(tree, 'layers', { value: layers });
  return tree;
}

export default defineModule({
  name: 'vufs',
  summary: 'parts of the file tree at other places, merged, or copied when they are written to',
  syscalls: ['%tree'],
  create: ({ vm }) => ({ mount: (request) => mount(vm, request) }),
});

export { below };
