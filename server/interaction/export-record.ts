// Patient/$export-record: everything that its patient sees of a record, as NDJSON, or as a zip with the original files and an index page.
import { Readable } from 'node:stream';
import { Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { openContent } from '../access/content.ts';
import { type File, wholeRecord } from '../access/collect.ts';
import * as errors from '../fhir/errors.ts';
import { isHolder, represents } from '../policy/decide.ts';
import type { Context, Request, Response } from './context.ts';
import { parametersIn } from './parameters.ts';

const EXTENSION: Record<string, string> = { 'application/pdf': 'pdf', 'text/plain': 'txt', 'text/xml': 'xml', 'application/xml': 'xml', 'image/jpeg': 'jpg', 'image/png': 'png', 'image/tiff': 'tif', 'application/rtf': 'rtf', 'application/fhir+json': 'json' };

const html = (s: string): string => s.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

const nameOf = (f: File, i: number): string => `files/${String(i + 1).padStart(4, '0')}-${f.title.normalize('NFKD').replace(/\p{M}/gu, '').replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60)}.${EXTENSION[f.contentType.split(';')[0]] ?? 'bin'}`;

function indexPage(files: File[], at: string): string {
  const rows = files.map((f, i) => `<tr><td>${html(String(f.document.date ?? '').slice(0, 10))}</td><td>${html(f.document.type?.coding?.[0]?.display ?? f.document.type?.text ?? '')}</td><td><a href="${nameOf(f, i)}">${html(f.title)}</a></td></tr>`);
  return `<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8"><title>Mon dossier</title><style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1em}</style></head><body><h1>Mon dossier médical partagé</h1><p>Exporté le ${html(at.slice(0, 10))}; ${files.length} fichiers. Les données structurées: <a href="record.ndjson">record.ndjson</a>.</p><table><tr><th>Date</th><th>Type</th><th>Document</th></tr>${rows.join('\n')}</table></body></html>\n`;
}

/** A zip as it is made: files are read one after the other, none held whole. */
async function* zipped(ctx: Context, ndjson: string, files: File[]): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  let failure: Error | undefined;
  const zip = new Zip((e, data) => {
    if (e) failure = e;
    else ready.push(data);
  });
  const take = function* (): Generator<Uint8Array> {
    if (failure) throw failure;
    const out = ready;
    ready = [];
    yield* out;
  };
  for (const [name, text] of [['index.html', indexPage(files, new Date(ctx.ask.now).toISOString())], ['record.ndjson', ndjson]]) {
    const entry = new ZipDeflate(name);
    zip.add(entry);
    entry.push(new TextEncoder().encode(text), true);
    yield* take();
  }
  for (const [i, f] of files.entries()) {
    const entry = new ZipPassThrough(nameOf(f, i));
    zip.add(entry);
    for await (const chunk of await openContent(ctx.records, f.binary)) {
      entry.push(chunk as Uint8Array);
      yield* take();
    }
    entry.push(new Uint8Array(0), true);
    yield* take();
  }
  zip.end();
  yield* take();
}

export async function exportRecord(ctx: Context, { id, req }: { id?: string; req: Request }): Promise<Response> {
  for (const type of ['DocumentReference', 'Consent', 'List', 'RelatedPerson']) ctx.records.requireScope(type, 's');
  const patient = await ctx.records.read('Patient', id as string);
  const facts = await ctx.records.gate.facts(patient.id);
  if (!isHolder(ctx.ask.caller, facts) && !represents(ctx.ask.caller, facts, ctx.ask.now)) throw errors.forbidden('A record is exported by its patient or the representative.', 'not-entitled');
  const { views, files } = await wholeRecord(ctx.records, patient);
  const ndjson = views.map((v) => `${v.text}\n`).join('');
  const format = parametersIn(req)('_format') ?? req.headers.accept ?? '';
  if (/zip/.test(format)) return { status: 200, headers: { 'Content-Type': 'application/zip', 'Content-Disposition': 'attachment; filename="dossier.zip"' }, stream: Readable.from(zipped(ctx, ndjson, files), { objectMode: false }) };
  return { status: 200, headers: { 'Content-Type': 'application/fhir+ndjson', 'Content-Disposition': 'attachment; filename="dossier.ndjson"' }, text: ndjson };
}
