// The ways out and up, opened on purpose: what is replaced in the sources, and which tests must notice. Read by test/mutations.long.ts.
type Mutation = { way: string; changes: [file: string, from: string, to: string][]; tests: string };

const OUT = 'test/gate/ways-out';
const UP = 'test/gate/ways-up';
const PROPERTY = 'test/gate/noninterference';
const OK = "({ permit: true, rule: 'permitted', consents: [] } as Decision)";
const records = 'server/access/records.ts';
const gate = 'server/access/gate.ts';
const views = 'server/access/views.ts';
const search = 'server/access/search.ts';
const include = 'server/access/include.ts';

export const mutations: Mutation[] = [
  { way: 'read, HEAD, conditional read', tests: PROPERTY, changes: [[records, 'if (d.permit) return d;', 'return { ...d, permit: true };']] },
  { way: 'vread', tests: PROPERTY, changes: [[records, 'const decision = await this.visible(current.deleted ? row : current, row.text);', `const decision = ${OK};`]] },
  { way: 'instance history', tests: PROPERTY, changes: [[records, 'const decision = await this.visible(current);', `const decision = ${OK};`], [records, 'else if (await this.visible(current, row.text, sight)) {', 'else {']] },
  { way: 'search GET, POST, compartment', tests: PROPERTY, changes: [[gate, 'return and(own, residual(this.ask.caller, await this.facts(patient), this.deps.book, this.ask.now));', 'return own;'], [search, 'if (!decision) throw errors.internal(new Error(`gate and decision differ on a ${query.type}`));', ''], [search, 'records.notes.shown(f.row, decision);', '']] },
  { way: 'search by _id or identifier', tests: PROPERTY, changes: [[search, "return { kind: 'ids', ids: await visibleNamed(records, type, n.rows) };", 'return n.rows;'], [search, 'if (!decision) throw errors.internal(new Error(`gate and decision differ on a ${query.type}`));', ''], [search, 'records.notes.shown(f.row, decision);', '']] },
  { way: 'a bound on how many an identifier names', tests: OUT, changes: [[search, 'for (const [p, own] of byPatient) ids', "if (byPatient.size) throw errors.tooCostly('too many');\n  for (const [p, own] of byPatient) ids"]] },
  { way: '_total and _summary=count', tests: PROPERTY, changes: [[search, "plan.kind === 'none' ? 0 : records.deps.store.count(query.type, plan)", 'records.deps.store.count(query.type, and())']] },
  { way: 'cursors', tests: PROPERTY, changes: [[search, 'sealCursor(deps.cursorKey, who, shown[shown.length - 1].keys)', 'sealCursor(deps.cursorKey, who, [...shown[shown.length - 1].keys, await deps.store.count(query.type, and())])']] },
  { way: '_include', tests: PROPERTY, changes: [[include, 'const decision = await records.visible(row);', `const decision = (await records.visible(row)) ?? ${OK.replace(' as Decision', '')};`], [include, 'const resource = JSON.parse(view.text) as Json;', 'const resource = JSON.parse(view.row.text) as Json;']] },
  { way: '_revinclude', tests: PROPERTY, changes: [[include, 'return records.gate.plan(type, patient);', "return { kind: 'scalar', field: 'patient', op: 'eq', value: patient };"], [include, 'const decision = view && (await records.visible(f.row, undefined, sight));', "const decision = { permit: true as const, rule: 'permitted' as const, consents: [] };"]] },
  { way: 'chaining gated to gated, _has', tests: PROPERTY, changes: [[records, 'return and(scope, await this.gate.plan(type, patient));', 'return scope;'], [search, 'const asks = query.filters.some(', 'const asks = false && query.filters.some(']] },
  { way: 'parameters on parts that a view leaves out', tests: PROPERTY, changes: [[search, 'const asks = query.filters.some(', 'const asks = false && query.filters.some(']] },
  { way: 'conditional update, delete and patch; PUT to an unseen id; order of checks', tests: PROPERTY, changes: [[records, 'const view = row && !row.deleted && (await this.visible(row)) && (await this.inScope', 'const view = row && !row.deleted && (await this.inScope']] },
  { way: 'a PUT of what was shown with parts left out', tests: OUT, changes: [['server/access/write/document.ts', 'if (fixedPart(resource) !== fixedPart(shown)) {', 'if (fixedPart(resource) !== fixedPart(stored)) {']] },
  { way: 'masterIdentifier clashes', tests: OUT, changes: [['server/access/write/master.ts', "return m?.value ? `MI|${s.patient}|${s.bySystem === 1 ? '' : s.depositor}|${s.depositorOrg ?? ''}|${m.system ?? ''}|${m.value}` : undefined;", 'return m?.value ? `MI|${s.patient}|${m.system}|${m.value}` : undefined;']] },
  { way: 'references kept or refused', tests: PROPERTY, changes: [['server/access/write/references.ts', 'if (!row || row.deleted || !(await records.visible(row)))', 'if (!row || row.deleted)']] },
  { way: 'chains of replacement', tests: OUT, changes: [['server/access/write/document.ts', "if (!row || row.deleted || !(await records.visible(row))) throw referenceNotFound(ref, expression);", 'if (!row || row.deleted) throw referenceNotFound(ref, expression);']] },
  { way: 'Binary by id, by range', tests: OUT, changes: [[records, 'return document && !document.deleted ? this.visible(document) : undefined;', `return document && !document.deleted ? ${OK} : undefined;`]] },
  { way: "Binary by adoption into one's own document", tests: OUT, changes: [['server/access/write/content.ts', 'row.scalars.bound === null && row.scalars.depositor === b.stamp.depositor && row.scalars.depositorOrg === b.stamp.depositorOrg;', 'true;']] },
  { way: 'List.entry', tests: PROPERTY, changes: [[views, "(ref.startsWith('DocumentReference/') && shown.has(ref.slice('DocumentReference/'.length)));", "ref.startsWith('DocumentReference/');"]] },
  { way: "a List's version", tests: PROPERTY, changes: [[views, "digest('hex').slice(0, 16);", "digest('hex').slice(0, 16) + row.version;"]] },
  { way: "a List's timestamps", tests: PROPERTY, changes: [[views, 'const updated = Math.max(...dates);', 'const updated = row.updated + 0 * dates.length;']] },
  { way: "a List's title", tests: OUT, changes: [[views, "if (partial) for (const k of ['title', 'text', 'date', 'note']) delete view[k];", '']] },
  { way: 'Lists matched as stored', tests: OUT, changes: [['server/access/lists.ts', 'if (matches(plan, seen, e.entries)) out.push', 'if (matches(plan, seen, e.entries) || true) out.push']] },
  { way: 'relatesTo', tests: PROPERTY, changes: [[views, 'return gone.size ? {', 'return gone.size < 0 ? {']] },
  { way: 'Consents that name a document', tests: PROPERTY, changes: [[gate, 'if (!naming.length) return ALL;', 'if (naming.length >= 0) return ALL;']] },
  { way: 'error texts', tests: PROPERTY, changes: [[records, 'if (row?.deleted && !isGatedType(type)) throw errors.gone(type, id);', "if (row?.deleted && !isGatedType(type)) throw errors.gone(type, id);\n    if (row && !row.deleted) throw errors.forbidden('This document is hidden from the caller.');"]] },
  { way: 'AuditEvent and its entities', tests: OUT, changes: [[gate, 'if (!hidden.size) return own;', 'if (hidden.size >= 0) return own;'], [views, 'if (!hidden.size) return own;', 'if (hidden.size >= 0) return own;']] },
  { way: 'what is hidden while an answer is made', tests: OUT, changes: [[search, 'const sight = records.gate.sight();', 'const sight = early;'], [search, 'const found: Found[] = plan.kind', 'const early = records.gate.sight();\n  if (patient !== undefined && GATED_BY_DOCUMENTS.has(query.type)) await Promise.all([early.plan(query.type, patient), early.hidden(patient)]);\n  const found: Found[] = plan.kind']] },
  { way: 'what is hidden while matches are counted', tests: OUT, changes: [[search, 'if (JSON.stringify(now) !== JSON.stringify(gate)) throw new Moved();', 'if (!now) throw new Moved();']] },
  { way: 'the event of a submission set', tests: 'test/audit/balp', changes: [['server/audit/event.ts', '...(set.documents.length ? { detail:', '...(set.documents.length < 0 ? { detail:']] },
  { way: '$explain', tests: 'test/gate/lifecycle', changes: [['server/access/explain.ts', 'const visible = and(await gate.documents(patient),', "const visible = and({ kind: 'scalar', field: 'patient', op: 'eq', value: patient },"]] },
  { way: 'records that an import holds', tests: 'test/import', changes: [['server/policy/decide.ts', "if (facts.held) return { state: 'closed' };", '']] },
  { way: 'up: unmasking', tests: UP, changes: [['server/policy/write.ts', "const may = holder || representative || treating || (author && (after.maskPs || d.scalars.maskedBy === 'author'));", 'const may = true;']] },
  { way: 'up: a self-recorded Consent for others', tests: UP, changes: [['server/policy/write.ts', "if (kind !== 'authorisation' || !ownAuthorisation(caller, r)) return refuse", 'if (!r) return refuse']] },
  { way: 'up: author claimed', tests: UP, changes: [['server/access/write/document.ts', "throw misfit('author', expression);\n      }", 'continue;\n      }']] },
  { way: 'up: custodian claimed', tests: UP, changes: [['server/access/write/document.ts', "throw misfit('custodian', 'DocumentReference.custodian');", 'return [];']] },
  { way: 'up: the directory', tests: UP, changes: [['server/access/write/directory.ts', "if (resource.resourceType !== 'Patient' || (caller.kind !== 'professional' && caller.kind !== 'system') || caller.roles.length) throw registryOnly();", '']] },
  { way: 'up: the médecin traitant', tests: UP, changes: [['server/access/write/directory.ts', "if (!isHolder(caller, facts) && !represents(caller, facts, now) && !isTreating(caller, facts)) throw errors.forbidden", "if (!facts) throw errors.forbidden"], ['server/access/write/directory.ts', 'if (element || isTreating(caller, facts))', 'if (element)']] },
  { way: 'up: a future dateTime', tests: UP, changes: [['server/access/write/consent.ts', 'at.lo > now + SKEW', 'at.lo > now * 2']] },
];
