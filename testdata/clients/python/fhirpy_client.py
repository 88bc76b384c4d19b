"""fhirpy, unmodified: create, search with paging, transaction, history, patch. The argument is the base URL."""

import sys
import uuid

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

TOTAL = 45  # patients, three pages of 20


def check(step, got, want):
    if got != want:
        raise SystemExit(f"fhirpy: {step}: {got!r}, want {want!r}")
    print(f"fhirpy: {step}: {got!r}")


def main(base):
    client = SyncFHIRClient(base)
    tag = uuid.uuid4().hex

    def identifier(n):
        return [{"system": "http://example.org/fhirpy", "value": f"{tag}-{n}"}]

    patient = client.resource("Patient", name=[{"text": "张三"}], gender="male", identifier=identifier(0))
    patient.save()
    check("create gives version", patient["meta"]["versionId"], "1")
    check("name is found by pinyin", [p["id"] for p in client.resources("Patient").search(name="zhangsan", identifier=f"http://example.org/fhirpy|{tag}-0").fetch()], [patient["id"]])

    entries = [
        {
            "fullUrl": f"urn:uuid:{uuid.uuid4()}",
            "request": {"method": "POST", "url": "Patient"},
            "resource": {"resourceType": "Patient", "identifier": identifier(n), "meta": {"tag": [{"system": "http://example.org/run", "code": tag}]}},
        }
        for n in range(1, TOTAL + 1)
    ]
    for n, entry in enumerate(entries[:3]):
        entries.append(
            {
                "request": {"method": "POST", "url": "Observation"},
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "体重"},
                    "subject": {"reference": entry["fullUrl"]},
                    "valueQuantity": {"value": 60 + n, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
                },
            }
        )
    bundle = client.resource("Bundle", type="transaction", entry=entries)
    bundle.save()
    check("transaction answers", bundle["type"], "transaction-response")
    check("statuses", {e["response"]["status"][:3] for e in bundle["entry"]}, {"201"})

    found = client.resources("Patient").search(_tag=f"http://example.org/run|{tag}").limit(20)
    ids = [p["id"] for p in found.fetch_all()]
    check("paging gives all, each once", (len(ids), len(set(ids))), (TOTAL, TOTAL))
    # count() sends _totalMethod, a parameter of one other server: strict handling, the default here, refuses it by name.
    lenient = SyncFHIRClient(base, extra_headers={"Prefer": "handling=lenient"})
    check("total", lenient.resources("Patient").search(_tag=f"http://example.org/run|{tag}").count(), TOTAL)
    first = bundle["entry"][0]["response"]["location"].split("Patient/")[1].split("/")[0]
    weights = client.resources("Observation").search(patient=first).fetch()
    check("urn:uuid became a reference", [o["subject"]["reference"] for o in weights], [f"Patient/{first}"])

    patient.patch(gender="female")
    patient.refresh()
    check("patch", (patient["gender"], patient["meta"]["versionId"]), ("female", "2"))
    history = client.execute(f"Patient/{patient['id']}/_history", method="get")
    check("history", [e["resource"]["meta"]["versionId"] for e in history["entry"]], ["2", "1"])
    try:
        client.resource("Patient", nonsense=1).save()
        raise SystemExit("fhirpy: an unknown element was taken")
    except OperationOutcome as e:
        check("an unknown element is refused", "nonsense" in str(e), True)
    patient.delete()
    try:
        client.reference("Patient", patient["id"]).to_resource()
        raise SystemExit("fhirpy: a deleted resource was read")
    except ResourceNotFound:
        check("deleted is gone", True, True)


main(sys.argv[1])
