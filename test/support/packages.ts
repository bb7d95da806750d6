// HL7's example package: brought into a cache once, skipped with its reason where it cannot be had.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Folder of the examples, or undefined (the reason printed). */
export function hl7Examples(): string | undefined {
  const cache = '.cache/definitions';
  const folder = join(cache, 'hl7.fhir.r4.examples-4.0.1', 'package');
  if (existsSync(folder)) return folder;
  try {
    mkdirSync(join(cache, 'hl7.fhir.r4.examples-4.0.1'), { recursive: true });
    execFileSync('npm', ['pack', 'hl7.fhir.r4.examples@4.0.1', '--pack-destination', cache], { stdio: 'ignore', timeout: 120_000 });
    execFileSync('tar', ['xzf', join(cache, 'hl7.fhir.r4.examples-4.0.1.tgz'), '-C', join(cache, 'hl7.fhir.r4.examples-4.0.1')]);
    return folder;
  } catch {
    process.stdout.write('skipped: hl7.fhir.r4.examples cannot be had here\n');
    return undefined;
  }
}
