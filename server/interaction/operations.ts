// The operations offered, as data: routes, OperationDefinitions and the CapabilityStatement come from here.
import type { Context, Request, Response } from './context.ts';
import { validateOperation } from './validate.ts';
import { dmpStatus } from './dmp-status.ts';

export type Operation = {
  name: string;
  types: string[] | '*';
  system: boolean;
  type: boolean;
  instance: boolean;
  affectsState: boolean;
  /** Canonical URL of its definition. */
  definition: string;
  run(ctx: Context, call: { type?: string; id?: string; req: Request }): Promise<Response>;
};

export const operations: Operation[] = [
  { name: 'validate', types: '*', system: false, type: true, instance: true, affectsState: false, definition: 'http://hl7.org/fhir/OperationDefinition/Resource-validate', run: validateOperation },
  { name: 'dmp-status', types: ['Patient'], system: false, type: false, instance: true, affectsState: false, definition: 'https://fhir.dmp.example/OperationDefinition/dmp-status', run: dmpStatus },
];
