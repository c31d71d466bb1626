"""Sensitivity from codes, and the label that follows.

A record without a hint is N (normal), as HL7's Healthcare Privacy and Security classification does by default. What a
sender has marked (`meta.security`) can raise the label; it can lower it only where no rule of ours objects.
Sources: HL7 v3-Confidentiality, v3-ActCode (_InformationSensitivityPolicy); the codes are in `sensitive_codes`.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache

from l1.ground.codes import Label
from l2.records.sensitive_codes import ICD10_PREFIXES, SENSITIVE

__all__ = ["LABEL_OF", "Coding", "find_sensitivity", "label_from", "system_of"]

Coding = tuple[str, str]
"""System and code, as a FHIR `Coding` has them."""

LABEL_OF: dict[str, Label] = {
    "ETH": Label.R,  # substance abuse: 42 CFR part 2
    "SUD": Label.R,
    "ETHUD": Label.R,
    "OPIOIDUD": Label.R,
    "HIV": Label.R,
    "STD": Label.R,
    "PSY": Label.R,
    "MH": Label.R,
    "BH": Label.R,
    "COGN": Label.R,
    "DVD": Label.R,
    "EMOTDIS": Label.R,
    "SDV": Label.R,
    "SEX": Label.R,
    "PREGNANT": Label.R,
    "GDIS": Label.R,
    "MST": Label.R,
    "VIO": Label.R,
    "SCA": Label.R,
    "SICKLE": Label.R,
    "SPI": Label.R,
    "TBOO": Label.V,
    "PSYTHPN": Label.V,  # 45 CFR 164.501: psychotherapy notes
}
"""The least label that each sensitivity of an act asks for."""

_NAMED = {
    "sct": "sct",
    "snomed-ct": "sct",
    "snomed ct": "sct",
    "snomedct": "sct",
    "urn:oid:2.16.840.1.113883.6.96": "sct",
    "loinc.org": "loinc",
    "loinc": "loinc",
    "ln": "loinc",
    "urn:oid:2.16.840.1.113883.6.1": "loinc",
    "rxnorm": "rxnorm",
    "urn:oid:2.16.840.1.113883.6.88": "rxnorm",
    "icd-10": "icd10",
    "icd-10-cm": "icd10",
    "i10": "icd10",
    "i10c": "icd10",
    "icd10": "icd10",
    "icd10cm": "icd10",
    "urn:oid:2.16.840.1.113883.6.3": "icd10",
    "urn:oid:2.16.840.1.113883.6.90": "icd10",
    "v3-actcode": "act",
    "urn:oid:2.16.840.1.113883.5.4": "act",
    "v3-confidentiality": "confidentiality",
    "urn:oid:2.16.840.1.113883.5.25": "confidentiality",
}
_LABELS = frozenset(label.name for label in Label)


@lru_cache(maxsize=1024)
def system_of(name: str) -> str:
    """A code system's short name here, from its FHIR URL, its OID (`urn:oid:`) or its HL7 v2 name (table 0396); empty
    for one that no rule knows."""
    lower = name.strip().rstrip("/").lower()
    return _NAMED.get(lower) or _NAMED.get(lower.rsplit("/", 1)[-1], "")


def find_sensitivity(codings: Iterable[Coding]) -> set[str]:
    """[INFO-5] The v3-ActCode sensitivities that these codes imply or, in a security label, say outright."""
    found: set[str] = set()
    for url, code in codings:
        system = system_of(url)
        if not system:
            continue
        if system == "icd10":
            found.add(_of_icd10(code))
        elif system == "act":
            found.add(code if code in LABEL_OF else "")
        else:
            found.add(SENSITIVE.get(system, {}).get(code, ""))
    found.discard("")
    return found


def _of_icd10(code: str) -> str:
    plain = code.replace(".", "").upper()
    return next((said for n in range(len(plain), 2, -1) if (said := ICD10_PREFIXES.get(plain[:n])) is not None), "")


def label_from(marks: Collection[Coding], sensitivity: Collection[str]) -> Label:
    """[INFO-3] The label of a resource: the highest of what its sender marked and its codes ask for; else N."""
    if not marks and not sensitivity:
        return Label.N
    marked = [Label[code] for system, code in marks if system_of(system) == "confidentiality" and code in _LABELS]
    asked = [LABEL_OF[code] for code in sensitivity]
    return max([*marked, *asked], default=Label.N)
