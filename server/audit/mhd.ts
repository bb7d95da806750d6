// Interactions that are IHE MHD's own transactions: their events claim MHD's audit profile beside BALP's. https://profiles.ihe.net/ITI/MHD/

const MHD = 'https://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.';

export type Transaction = { code: string; display: string; profile: string };

export const PROVIDE_BUNDLE: Transaction = { code: 'ITI-65', display: 'Provide Document Bundle', profile: `${MHD}ProvideBundle.Audit.Recipient` };

/** By interaction (or operation) and type; a document that comes in a Bundle is ITI-65's. */
const TRANSACTIONS: Record<string, Transaction> = {
  'search-type List': { code: 'ITI-66', display: 'Find Document Lists', profile: `${MHD}FindDocumentLists.Audit.Responder` },
  'search-type DocumentReference': { code: 'ITI-67', display: 'Find Document References', profile: `${MHD}FindDocumentReferences.Audit.Responder` },
  'read Binary': { code: 'ITI-68', display: 'Retrieve Document', profile: `${MHD}RetrieveDocument.Audit.Responder` },
  '$generate-metadata DocumentReference': { code: 'ITI-106', display: 'Generate Metadata', profile: `${MHD}GenerateMetadata.Audit.Recipient` },
  'create DocumentReference': { code: 'ITI-105', display: 'Simplified Publish', profile: `${MHD}SimplifiedPublish.Audit.Recipient` },
};

/** The transaction that an interaction is, where it is one. */
export const transactionOf = (act: { kind: string; operation?: string; type?: string; bundled?: boolean }): Transaction | undefined => (act.bundled ? undefined : TRANSACTIONS[`${act.operation ?? act.kind} ${act.type}`]);

/** The coding of an event's subtype. */
export const iheSubtype = (t: Transaction): { system: string; code: string; display: string } => ({ system: 'urn:ihe:event-type-code', code: t.code, display: t.display });
