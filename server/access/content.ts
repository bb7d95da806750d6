// The way to a document's bytes: only through a view that the gate gave.
import type { Readable } from 'node:stream';
import type { Records, View } from './records.ts';
import { contentOf } from './write/content.ts';

/** Opens the content of a Binary that the caller was shown. */
export function openContent(records: Records, view: View, range?: { start: number; end: number }): Promise<Readable> {
  return records.deps.store.content.open(contentOf(view.row).key, range);
}
