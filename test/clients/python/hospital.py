"""A hospital deposits a document and finds it again, with fhirpy. Usage: hospital.py BASE TOKEN PATIENT"""
import base64
import sys

from fhirpy import SyncFHIRClient

base, token, patient = sys.argv[1:4]
client = SyncFHIRClient(base, authorization=f"Bearer {token}")

document = client.resource(
    "DocumentReference",
    status="current",
    type={"coding": [{"system": "http://loinc.org", "code": "34112-3"}]},
    subject={"reference": f"Patient/{patient}"},
    date="2026-01-15T10:00:00Z",
    content=[{"attachment": {"contentType": "text/plain", "data": base64.b64encode(b"Compte rendu").decode()}}],
)
document.save()

found = client.resources("DocumentReference").search(patient=patient, status="current").fetch()
assert document.id in [d.id for d in found], "the document is not found"
again = client.reference("DocumentReference", document.id).to_resource()
binary = client.execute(again["content"][0]["attachment"]["url"], method="get")
assert base64.b64decode(binary["data"]) == b"Compte rendu", "the bytes differ"
print("python: deposited, found, read", document.id)
