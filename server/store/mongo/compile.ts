// Plan → MongoDB filter. The atoms only; what they mean was settled above the port.
import type { Filter, Document } from 'mongodb';
import type { Plan } from '../port.ts';

const escaped = (s: string): string => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const OPS = { le: '$lte', ge: '$gte', lt: '$lt', gt: '$gt' } as const;

function scalar(plan: Extract<Plan, { kind: 'scalar' }>): Filter<Document> {
  const field = plan.field === 'updated' ? 'updated' : `s.${plan.field}`;
  if (plan.op === 'eq') return { [field]: plan.value };
  if (plan.op === 'has') return { [field]: { $regex: `,${escaped(String(plan.value))},` } };
  return { [field]: { [OPS[plan.op]]: plan.value } };
}

function range(plan: Extract<Plan, { kind: 'range' }>): Filter<Document> {
  const lo: Document = {};
  const hi: Document = {};
  if (plan.loMin !== undefined) lo.$gte = plan.loMin;
  if (plan.loMax !== undefined) lo.$lte = plan.loMax;
  if (plan.hiMin !== undefined) hi.$gte = plan.hiMin;
  if (plan.hiMax !== undefined) hi.$lte = plan.hiMax;
  return { ranges: { $elemMatch: { p: plan.p, ...(Object.keys(lo).length ? { lo } : {}), ...(Object.keys(hi).length ? { hi } : {}) } } };
}

const NEVER: Filter<Document> = { _id: { $in: [] } };

/** The filter that selects what the plan selects. */
export function filterOf(plan: Plan): Filter<Document> {
  switch (plan.kind) {
    case 'all': return {};
    case 'none': return NEVER;
    case 'and': return { $and: plan.of.map(filterOf) };
    case 'or': return { $or: plan.of.map(filterOf) };
    case 'not': return { $nor: [filterOf(plan.of)] };
    case 'term': return { terms: plan.key };
    case 'terms': return { terms: { $in: plan.keys } };
    case 'prefix': return { terms: { $regex: `^${escaped(plan.key)}` } };
    case 'contains': return { terms: { $regex: `^${escaped(plan.key)}.*${escaped(plan.text)}`, $options: 's' } };
    case 'range': return range(plan);
    case 'ids': return { id: { $in: plan.ids } };
    case 'scalar': return scalar(plan);
  }
}

/** The trail's events have one date and few scalars: ranges are asked of it. */
export function auditFilterOf(plan: Plan): Filter<Document> {
  switch (plan.kind) {
    case 'and': return { $and: plan.of.map(auditFilterOf) };
    case 'or': return { $or: plan.of.map(auditFilterOf) };
    case 'not': return { $nor: [auditFilterOf(plan.of)] };
    case 'range': {
      const date: Document = {};
      const min = Math.max(plan.loMin ?? Number.NEGATIVE_INFINITY, plan.hiMin ?? Number.NEGATIVE_INFINITY);
      const max = Math.min(plan.loMax ?? Number.POSITIVE_INFINITY, plan.hiMax ?? Number.POSITIVE_INFINITY);
      if (Number.isFinite(min)) date.$gte = min;
      if (Number.isFinite(max)) date.$lte = max;
      return { 's.date': date };
    }
    default: return filterOf(plan);
  }
}
