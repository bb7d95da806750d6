// Keys of French identifiers (facts 2.4, 2.5).

/** Key of a 13-character NIR or NIA: 97 − (N mod 97), Corsica's 2A and 2B read as 19 and 18. */
export function ninKey(body: string): string {
  const digits = body.slice(0, 5) + body.slice(5, 7).replace('2A', '19').replace('2B', '18') + body.slice(7);
  return String(97n - (BigInt(digits) % 97n)).padStart(2, '0');
}

const FORM = /^[1-478]\d{4}(\d{2}|2[AB])\d{6}\d{2}$/;

/** A matricule with its key, valid. */
export const validNin = (value: string): boolean => FORM.test(value) && ninKey(value.slice(0, 13)) === value.slice(13);

/** Luhn's check, which RPPS numbers and FINESS numbers pass. */
function luhn(value: string): boolean {
  let sum = 0;
  for (let i = 0; i < value.length; i++) {
    let d = Number(value[value.length - 1 - i]);
    if (i % 2 === 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return /^\d+$/.test(value) && sum % 10 === 0;
}

/** Adds the digit that makes Luhn's check hold. */
export function withLuhn(body: string): string {
  for (let d = 0; d < 10; d++) if (luhn(body + d)) return body + d;
  return body;
}
