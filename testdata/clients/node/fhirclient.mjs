// fhirclient (SMART on FHIR), unmodified: create, search with paging, transaction, history, patch. The argument is the base URL.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { check } from './check.mjs';

const FHIR = createRequire(import.meta.url)('fhirclient');
const request = { headers: { host: '127.0.0.1' }, url: '/', connection: {} };
const client = FHIR(request, {}).client({ serverUrl: process.argv[2] });
const tag = randomUUID();
const total = 45;
const is = check('fhirclient');

const patient = await client.create({ resourceType: 'Patient', name: [{ text: '王芳' }], gender: 'male' });
is('create gives version', patient.meta.versionId, '1');

const entry = Array.from({ length: total }, () => ({ request: { method: 'POST', url: 'Patient' }, resource: { resourceType: 'Patient', active: true, meta: { tag: [{ code: tag }] } } }));
const done = await client.request({ url: '/', method: 'POST', headers: { 'Content-Type': 'application/fhir+json' }, body: JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry }) });
is('transaction', done.entry.length, total);

const all = await client.request(`Patient?_tag=${tag}&_count=20`, { pageLimit: 0, flat: true });
is('paging gives all, each once', [all.length, new Set(all.map((p) => p.id)).size], [total, total]);

const observation = await client.create({ resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: `Patient/${patient.id}` } });
const resolved = await client.request(`Observation/${observation.id}`, { resolveReferences: 'subject' });
is('references resolve', resolved.subject.name[0].text, '王芳');

const patched = await client.patch(`Patient/${patient.id}`, [{ op: 'replace', path: '/gender', value: 'female' }]);
is('patch', [patched.gender, patched.meta.versionId], ['female', '2']);
const history = await client.request(`Patient/${patient.id}/_history`);
is('history', history.entry.map((e) => e.resource.meta.versionId), ['2', '1']);
await client.delete(`Patient/${patient.id}`);
const gone = await client.request(`Patient/${patient.id}`).catch((e) => e.status ?? e.statusCode ?? e);
is('deleted is gone', gone, 410);
