import type { Store } from '../port.ts';
export async function mongoStore(_url: string, _process: string, _options: { acceptStandalone: boolean }): Promise<Store> { throw new Error('pending'); }
