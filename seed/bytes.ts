// Real bytes of fictitious documents: PDF, CDA R2, plain text, JPEG.

/** A one-page PDF that says these lines. */
export function pdf(lines: string[]): Buffer {
  const escaped = (s: string): string => s.normalize('NFKD').replace(/\p{M}/gu, '').replace(/[^\x20-\x7e]/g, '?').replace(/([\\()])/g, '\\$1');
  const text = `BT /F1 12 Tf 60 780 Td 16 TL ${lines.map((l) => `(${escaped(l)}) Tj T*`).join(' ')} ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${text.length} >>\nstream\n${text}\nendstream`, '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let out = '%PDF-1.4\n';
  const offsets = objects.map((o, i) => {
    const at = out.length;
    out += `${i + 1} 0 obj\n${o}\nendobj\n`;
    return at;
  });
  const xref = out.length;
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${offsets.map((o) => `${String(o).padStart(10, '0')} 00000 n \n`).join('')}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  return Buffer.from(out, 'latin1');
}

const xml = (s: string): string => s.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');

/** A CDA R2 document with an unstructured body. */
export function cda(o: { id: string; code: string; display: string; time: string; ins: string; family: string; given: string; text: string }): Buffer {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><id root="${o.id}"/><code code="${o.code}" displayName="${xml(o.display)}" codeSystem="2.16.840.1.113883.6.1"/><title>${xml(o.display)}</title><effectiveTime value="${o.time.replace(/[-:T]/g, '').slice(0, 14)}+0000"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="fr-FR"/><recordTarget><patientRole><id root="1.2.250.1.213.1.4.10" extension="${o.ins}"/><patient><name><family>${xml(o.family)}</family><given>${xml(o.given)}</given></name></patient></patientRole></recordTarget><component><structuredBody><component><section><text>${xml(o.text)}</text></section></component></structuredBody></component></ClinicalDocument>
`);
}

/** A grey JPEG of one pixel. */
export const jpeg = (): Buffer => Buffer.from('/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==', 'base64');
