// fhir-kit-client, unmodified: create, search with paging, transaction, history, patch. The argument is the base URL.
import { randomUUID } from 'node:crypto';
import * as kit from 'fhir-kit-client';
import { check } from './check.mjs';

const Client = kit.default?.default ?? kit.default ?? kit.Client;
const client = new Client({ baseUrl: process.argv[2] });
const tag = randomUUID();
const total = 45;
const is = check('fhir-kit-client');

const statement = await client.capabilityStatement();
is('metadata', statement.fhirVersion, '4.0.1');

const patient = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', name: [{ text: '李小龙' }], gender: 'male' } });
is('create gives version', patient.meta.versionId, '1');
is('read', (await client.read({ resourceType: 'Patient', id: patient.id })).name[0].text, '李小龙');

const entry = Array.from({ length: total }, (_, n) => ({
  fullUrl: `urn:uuid:${randomUUID()}`,
  request: { method: 'POST', url: 'Patient' },
  resource: { resourceType: 'Patient', active: true, meta: { tag: [{ code: tag }] }, identifier: [{ system: 'http://example.org/kit', value: `${tag}-${n}` }] },
}));
entry.push({ request: { method: 'POST', url: 'Observation' }, resource: { resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: entry[0].fullUrl } } });
const done = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } });
is('transaction', [...new Set(done.entry.map((e) => e.response.status.slice(0, 3)))], ['201']);

const ids = [];
let page = await client.search({ resourceType: 'Patient', searchParams: { _tag: tag, _count: 20 } });
const sizes = [];
while (page) {
  sizes.push(page.entry.length);
  ids.push(...page.entry.map((e) => e.resource.id));
  page = page.link.some((l) => l.relation === 'next') ? await client.nextPage({ bundle: page }) : undefined;
}
is('pages', sizes, [20, 20, 5]);
is('each once', new Set(ids).size, total);

const observation = (await client.search({ resourceType: 'Observation', searchParams: { 'subject:Patient.identifier': `http://example.org/kit|${tag}-0` } })).entry[0].resource;
is('chained search', observation.code.text, 'x');

const patched = await client.patch({ resourceType: 'Patient', id: patient.id, jsonPatch: [{ op: 'replace', path: '/gender', value: 'female' }] });
is('patch', [patched.gender, patched.meta.versionId], ['female', '2']);
const history = await client.history({ resourceType: 'Patient', id: patient.id });
is('history', history.entry.map((e) => e.resource.meta.versionId), ['2', '1']);
is('vread', (await client.vread({ resourceType: 'Patient', id: patient.id, version: '1' })).gender, 'male');
await client.delete({ resourceType: 'Patient', id: patient.id });
const gone = await client.read({ resourceType: 'Patient', id: patient.id }).catch((e) => e.response?.status ?? e);
is('deleted is gone', gone, 410);
