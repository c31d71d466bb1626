"""A FHIR R4 Consent: the document that stands behind a consent entry. Source: HL7 FHIR 4.0.1, Consent; IHE PCF.

Knows the form, not the patient: the subject goes by the hospital's own identifier, and the form never leaves it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["consent_form"]

HL7 = "http://terminology.hl7.org/CodeSystem"


def consent_form(
    patient: str, purposes: Sequence[str], *, now_ms: int, until_ms: int, permit: bool = True
) -> dict[str, Any]:
    period = {"start": _moment(now_ms), "end": _moment(until_ms)}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": f"{HL7}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": f"{HL7}/v3-ActCode", "code": "INFA"}]}],
        "patient": {"identifier": {"value": patient}},
        "dateTime": _moment(now_ms),
        "policyRule": {"coding": [{"system": f"{HL7}/v3-ActCode", "code": "OPTIN" if permit else "OPTOUT"}]},
        "provision": {
            "type": "permit" if permit else "deny",
            "period": period,
            "purpose": [{"system": f"{HL7}/v3-ActReason", "code": purpose} for purpose in purposes],
        },
    }


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
