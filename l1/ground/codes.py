"""The field's code lists as small integers, so that an entry spends a byte where FHIR spends a URL.

The chain owns the alphabet: it must read purposes and periods where they are the charge. Numbers are never reused.
Sources: HL7 v3-ActReason, v3-Confidentiality, v3-ActCode; FHIR R4 resource types; 45 CFR part 171.
"""

from collections.abc import Iterable
from enum import IntEnum

__all__ = ["DenyReason", "Label", "MediaType", "Obligation", "PurposeOfUse", "RecordClass", "Role", "mask", "unmask"]


class PurposeOfUse(IntEnum):
    """HL7 v3-ActReason: why a record is opened."""

    TREAT = 0
    ETREAT = 1
    BTG = 2
    HPAYMT = 3
    HOPERAT = 4
    HRESCH = 5
    PATRQT = 6
    PUBHLTH = 7
    HTEST = 8


class RecordClass(IntEnum):
    """What kind of record: FHIR resource families, and what hospitals have besides."""

    OTHER = 0
    PATIENT = 1
    ENCOUNTER = 2
    OBSERVATION = 3
    CONDITION = 4
    PROCEDURE = 5
    MEDICATION = 6
    IMMUNIZATION = 7
    ALLERGY = 8
    DIAGNOSTIC_REPORT = 9
    IMAGING = 10
    DOCUMENT = 11
    CARE_PLAN = 12
    CLAIM = 13
    CONSENT = 14
    PROVENANCE = 15
    DIRECTORY = 16
    BUNDLE = 17


class Label(IntEnum):
    """HL7 v3-Confidentiality, a total order."""

    U = 0
    L = 1
    M = 2
    N = 3
    R = 4
    V = 5


class MediaType(IntEnum):
    """What a body is, so that its reader knows what to open it with."""

    OCTET_STREAM = 0
    FHIR_JSON = 1
    FHIR_NDJSON = 2
    DICOM = 3
    HL7V2 = 4
    CDA_XML = 5
    JSON = 6
    TEXT = 7


class Role(IntEnum):
    """Who acts: the families of the FHIR practitioner role value set."""

    PHYSICIAN = 0
    NURSE = 1
    PHARMACIST = 2
    THERAPIST = 3
    TECHNICIAN = 4
    RESEARCHER = 5
    ADMINISTRATIVE = 6
    PATIENT = 7
    SYSTEM = 8


class Obligation(IntEnum):
    """HL7 v3-ActCode: what a recipient owes in return for a grant."""

    AOD = 0
    NORDSCLCD = 1
    MINEC = 2
    ENCRYPT = 3
    AUDIT = 4
    DELAU = 5


class DenyReason(IntEnum):
    """Why a request was refused, each under an information-blocking exception of 45 CFR part 171."""

    NO_CONSENT = 0  # 171.202 privacy
    CONSENT_DENIES = 1  # 171.202 privacy
    PURPOSE_NOT_ALLOWED = 2  # 171.202 privacy
    LABEL_TOO_HIGH = 3  # 171.202 privacy
    NOT_FOUND = 4  # 171.204 infeasibility
    UNDER_HOLD = 5  # 171.203 security
    OVERLOADED = 6  # 171.205 performance


def mask(codes: Iterable[int]) -> int:
    """A set of codes as the bits of an integer."""
    bits = 0
    for code in codes:
        bits |= 1 << code
    return bits


def unmask(bits: int) -> list[int]:
    """The codes whose bits are set, ascending."""
    return [code for code in range(bits.bit_length()) if bits >> code & 1]
