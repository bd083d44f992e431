import { foldName } from './entry-path.ts';
import type { Refuse } from './refusal.ts';

type Node = { readonly kind: 'directory' } | { readonly kind: 'file' } | { readonly kind: 'link'; readonly entry: string; readonly target: string };

export interface TreeLink {
  readonly path: string;
  /** As the archive has it: relative to the link's directory. */
  readonly target: string;
}

/** As Linux has it: more links than this on one way are a loop. */
const MAX_HOPS = 40;

/**
 * The tree as unpacked so far. Every path belongs to one entry; links take part only by name and come into being after all else, so
 * nothing is ever written through one.
 */
export class EntryTree {
  readonly #refuse: Refuse;
  readonly #nodes = new Map<string, Node>([['', { kind: 'directory' }]]);
  readonly #folded = new Map<string, string>();

  constructor(refuse: Refuse) {
    this.#refuse = refuse;
  }

  /** Takes the path of a directory and of those above it; returns the ones that are new, outermost first. */
  claimDirectory(entry: string, parts: readonly string[]): string[] {
    const added: string[] = [];
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = parts.slice(0, depth).join('/');
      const node = this.#nodes.get(path);
      if (node === undefined) {
        this.#take(entry, path, { kind: 'directory' });
        added.push(path);
      } else if (node.kind !== 'directory') {
        throw this.#refuse(entry, `needs a directory where the archive has a ${node.kind}`, 'pack each path once');
      }
    }
    return added;
  }

  /** Takes the path of a file whose directory is claimed. */
  claimFile(entry: string, path: string): void {
    this.#take(entry, path, { kind: 'file' });
  }

  claimLink(entry: string, path: string, target: string): void {
    if (target === '' || /[\u0000-\u001f\u007f\ufffd\\]/.test(target)) {
      throw this.#refuse(entry, 'links to an empty or unreadable name', 'pack the file itself');
    }
    if (target.startsWith('/')) throw this.#refuse(entry, 'links to an absolute path', 'use a relative link or pack the file itself');
    this.#take(entry, path, { kind: 'link', entry, target });
  }

  isFile(path: string): boolean {
    return this.#nodes.get(path)?.kind === 'file';
  }

  /**
   * All links, once it is sure that each ends at a file or a directory of this tree. A directory that is linked to may hold no directory
   * link itself: walking the tree through links then ends, and soon.
   */
  checkedLinks(): TreeLink[] {
    const links: TreeLink[] = [];
    const linkedDirectories: { readonly entry: string; readonly end: string }[] = [];
    const aboveDirectoryLinks = new Set<string>();
    for (const [path, node] of this.#nodes) {
      if (node.kind !== 'link') continue;
      const end = this.#follow(node.entry, path, node.target);
      links.push({ path, target: node.target });
      if (this.isFile(end)) continue;
      linkedDirectories.push({ entry: node.entry, end });
      for (let above = parentOf(path); ; above = parentOf(above)) {
        aboveDirectoryLinks.add(above);
        if (above === '') break;
      }
    }
    const nested = linkedDirectories.find(({ end }) => aboveDirectoryLinks.has(end));
    if (nested !== undefined) {
      throw this.#refuse(nested.entry, 'links to a directory that itself holds a link to a directory', 'pack the directories themselves');
    }
    return links;
  }

  #take(entry: string, path: string, node: Node): void {
    if (this.#nodes.has(path)) throw this.#refuse(entry, 'is in the archive twice', 'pack each path once');
    const folded = foldName(path);
    const other = this.#folded.get(folded);
    if (other !== undefined) {
      throw this.#refuse(entry, `differs from ${JSON.stringify(other)} only in case or in how letters are composed`, 'rename one of them');
    }
    this.#nodes.set(path, node);
    this.#folded.set(folded, path);
  }

  /** Where a link ends. Walks as the system would, ".." being the directory above the one really reached. */
  #follow(entry: string, path: string, target: string): string {
    let at = parentOf(path);
    let hops = 0;
    const rest = target.split('/').reverse();
    for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (at === '') throw this.#refuse(entry, 'links to a place outside the directory', 'pack the file itself');
        at = parentOf(at);
        continue;
      }
      const next = at === '' ? part : `${at}/${part}`;
      const node = this.#nodes.get(next);
      if (node === undefined) throw this.#refuse(entry, 'links to nothing that the archive holds', 'pack the file it links to as well');
      if (node.kind === 'link') {
        hops += 1;
        if (hops > MAX_HOPS) throw this.#refuse(entry, 'links in a circle', 'pack the file itself');
        rest.push(...node.target.split('/').reverse());
      } else if (node.kind === 'file' && rest.some((name) => name !== '')) {
        throw this.#refuse(entry, 'links through a file as if it were a directory', 'pack the file itself');
      } else {
        at = next;
      }
    }
    return at;
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}
